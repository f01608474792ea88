"""The dashboard: a view over run folders, their outputs and reports, with the keyboard, over ssh.

app.py opens it and carries commands; home.py is the screen: watching.py keeps it up to date from store.py and tail.py,
listing.py orders the lines, choosing.py answers what is done to them. What hangs into it does so at five places:

- **A tab** is a `panes.Pane` listed in tabs.py. It is told what to show by `Pane.show(chosen)`: the marked runs, or the
  one under the cursor; again whenever these or their files change while the tab can be seen.
- **A key** is a line of keys.COMMANDS. Whoever has a method `do_<id>` answers it: the focused widget and those around
  it, then the open tab, the screen, the app; who returns False passes it on. The footer names what is answered here.
- **A page** over everything is a `panes.Page` (`app.push_screen`); escape closes it. `pages.OPEN` is the one that enter
  opens on a run: a function of `panes.Chosen` that gives a Page.
- **Jobs** are told by `app.board`, any `panes.Board`: how many run, what the footer says of them, how to end them.
- **What is on the screen** goes to files as `panes.Sheet`: `Pane.sheet()` gives the one of a tab.

chart.Chart draws any chart.Plot in braille; settings.py and memory.py hold what a person set and said.
Workers are started with exit_on_error=False and only post messages: one handler in the app turns a failure to a toast.
"""
