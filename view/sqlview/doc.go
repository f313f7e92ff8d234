// Package sqlview keeps views in tables of SQLite, PostgreSQL, MySQL or MariaDB.
//
//	db, err := sql.Open("pgx", "postgres://localhost/shop")
//	…
//	views, err := sqlview.New(ctx, db, sqlview.PostgreSQL)
//
// Package connect opens a database by its URL and brings all drivers along; a
// program that calls New imports the one that it needs. These drivers are known
// to work: modernc.org/sqlite, github.com/jackc/pgx/v5/stdlib,
// github.com/go-sql-driver/mysql.
//
// Documents lie in one table, whose primary key compares bytes:
//
//	annals_documents         space, doc_key, position, data
//	annals_documents_format  the layout of that table
//
// New makes them where they are missing, so it needs the right to create tables
// once. Other programs may read annals_documents, but only Annals may write it.
// The data is text on SQLite and PostgreSQL; on MySQL it is bytes, which
// CONVERT(data USING utf8mb4) turns into text.
//
// A Change runs in one transaction, READ COMMITTED on the servers: first the
// documents that it expects are locked and compared, then its Work runs, then
// documents are written. So of two transactions that expect the same document
// the second waits for the first, and its Work never runs if it has lost. Work
// may read and write whatever else the database holds, and commits or vanishes
// with the documents. It must not end the transaction, nor go on after one of its
// statements has failed, nor change the schema on MySQL, which commits there: a
// Change whose Work has done so is refused.
//
// How durable a Change is: on SQLite a durable one is synced whatever the
// connection's setting; on PostgreSQL it is written with synchronous_commit on;
// on MySQL and MariaDB the server's innodb_flush_log_at_trx_commit decides alone.
//
// On SQLite one Change at a time is made. Others of this process wait in line,
// those of other processes as long as the busy timeout of their connection says.
package sqlview
