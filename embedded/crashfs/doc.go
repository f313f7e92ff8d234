// Package crashfs is a file system in memory that loses what was not synced when it
// crashes, also while files are linked.
package crashfs
