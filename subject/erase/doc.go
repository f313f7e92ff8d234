// Package erase carries out the erasure of a data subject: it fences and destroys the
// subject's key, builds anew the views that have folded its events, deletes the older
// generations, and writes a receipt.
//
// Each step may be repeated. After a crash or an error the same erasure is done again,
// from its start: what is done already stays so, and views are built again.
//
// What was done is noted in the stream annals.erasures: an event when an erasure begins,
// with its key fenced, and one with the receipt at its end.
package erase
