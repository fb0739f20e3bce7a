"""What `pwasm bench` does: one Envoy with the filter and one without, loaded in alternation.

    figures     the arithmetic: paired rounds, medians, spread
    process     what the kernel reports about a process: memory and processor time
    load        the load generators: wrk if available, else the client of this package
    client      that client, a separate process
    instrument  a module with additional imports, functions and exports
    timers      the module with a clock around each of its callbacks
    target      Options, and the module they refer to
    measure     Options → Report
    report      what was measured
    render      Report → text

`make bench`, the project's own benchmark, reuses `figures` to `instrument`.
"""
