"""What `pwasm bench` does: one Envoy with the filter and one without, loaded in alternation.

    figures   the arithmetic: paired rounds, medians, spread
    process   what the kernel says of a process: memory and processor time
    load      the load: wrk where there is one, else the client of this package
    client    that client, a process of its own
    edit      a module with other imports, functions and exports
    timers    the module with a clock around each of its callbacks
    target    Options, and the module they lead to
    measure   Options → Report
    report    what was measured
    render    Report → text

`make bench`, the project's own benchmark, takes `figures` to `edit` from here.
"""
