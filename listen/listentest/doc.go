// Package listentest makes the certificates that tests of servers listen with.
package listentest
