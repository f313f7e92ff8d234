// Package subjecttest has the keys that tests of stores seal with.
//
// Every driver's tests give them to storetest.RunSubjects.
package subjecttest
