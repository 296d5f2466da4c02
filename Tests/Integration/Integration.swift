import Testing

/// The whole system as real processes with real programs: each test has a run directory, a daemon and images of its own.
///
/// One test at a time: they use whole machines' worth of processes, and their figures (descriptors, mappings) are taken
/// while nothing else runs.
@Suite(.serialized, .timeLimit(.minutes(3))) struct Integration {}
