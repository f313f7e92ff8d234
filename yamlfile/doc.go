// Package yamlfile is what readers of YAML files share: one document a file, and
// errors that list all that is wrong with it, each with its line and what to do.
//
// A reader gets the document by [Document], gathers a [Problem] for each thing that
// it does not take, and returns [Err] of them: whoever mends a file sees all of it at
// once. What a file may hold is the reader's own matter.
package yamlfile
