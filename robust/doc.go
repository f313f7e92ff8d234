// Package robust holds fault batteries: tests that break real processes. It has
// no code of its own.
package robust
