// Preloaded into main by the callgrind benchmark: main starts its workers with this "Node", a script that runs the real one
// under valgrind. Main itself stays outside: what it asks of the kernel is more than valgrind knows.
process.execPath = process.env.SOZU_BENCH_NODE;
