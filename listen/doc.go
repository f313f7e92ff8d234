// Package listen is what the servers of Annals listen with: a Certificate that is read
// again when its files change, and Connections that bound how many clients there are.
package listen
