// Package sim runs the whole pipeline in one process under faults: the
// product's own code behind its own doors, everything outside in memory, one
// clock that only the simulation moves, one seed that decides everything.
//
// A schedule is a run of one seed. Users drop, overwrite and delete uploads,
// change settings, stop and pause; jobs end in every way that jobs end;
// messages come late, twice, at once, out of order or, where the service may
// lose them, never; calls fail before or after their effect; invocations
// crash at any call, are killed at their deadline and run several at once.
// Invocations are goroutines of which only one runs at any time: at every call
// that would leave the process the baton may go to another one, so that every
// interleaving that matters can happen and the same seed repeats it.
//
// Then the weather clears. Virtual days pass with the tick as the only help,
// and what the world saw is compared with what must always be true.
package sim
