// Package connect opens views in an SQL database by its URL, whichever of the
// databases that package sqlview knows it is:
//
//	sqlite:PATH                              a file, made where it is missing
//	postgres://user:password@host:port/db    and the parameters that pgx knows
//	mysql://user:password@host:port/db       MySQL or MariaDB, and the parameters
//	                                         that Go-MySQL-Driver knows
//
// Importing it links the drivers of all of them. A program that has a *sql.DB
// already needs only package sqlview.
package connect
