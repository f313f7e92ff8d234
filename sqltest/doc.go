// Package sqltest gives tests databases of real servers: PostgreSQL and MariaDB.
// Each call makes a fresh, empty database that is dropped when the test ends.
//
// The server is started by the first call of a test process, in a temporary
// directory and bound to a free port of 127.0.0.1, and serves all tests of that
// process. However that process ends, the server and its directory go with it.
// It never syncs its files, so that no test may pull the plug on it.
//
// tools/servers.sh, a part of make stand-ins, installs the servers.
package sqltest
