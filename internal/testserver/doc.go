// Package testserver gives tests real Redis and Postgres servers.
//
// It looks for them in this order, and fails the test, never skips it, when it
// finds none:
//
//  1. the servers named by LEAT_TEST_REDIS_URL and LEAT_TEST_DATABASE_URL;
//  2. a Docker engine, with the images redis:7 and postgres:15;
//  3. the programs redis-server and postgres on this machine, started privately
//     on free ports of 127.0.0.1 with their data in a temporary folder, as an
//     unprivileged user where the tests run as root;
//  4. as root on Debian or Ubuntu with none of these: the same programs, after
//     installing them with apt-get, which is said on stderr.
//
// LEAT_TEST_SERVERS=docker or LEAT_TEST_SERVERS=local leaves only 2, or only 3
// and 4.
//
// [Redis] and [Postgres] share one server in a test binary, and give each test a
// database of its own. [NewRedis] and [NewPostgres] start a server for one test,
// which can stop, kill and pause it. [Proxy] puts a network that can fail in
// front of any of them. [FreeAddr] is for servers that the test starts itself.
//
// A server that was started here ends with the test binary, however that ends:
// a small shell process waits for it, and cleans up behind it.
//
// The package may be imported by tests, integration and bench only. It may
// import anything but packages of ours.
package testserver
