package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// A Group is a part of the interface that a process may serve without the others.
type Group string

// The groups.
const (
	GroupIngest   Group = "ingest"   // messages in
	GroupCommand  Group = "command"  // appends
	GroupQuery    Group = "query"    // every GET of the store, its views and what runs on it
	GroupOperate  Group = "operate"  // what changes projections and consumers
	GroupPlayback Group = "playback" // what starts, stops and resumes playbacks
	GroupErase    Group = "erase"    // the erasure of data subjects, which waits and rebuilds views
	GroupProcess  Group = "process"  // health, metrics, the OpenAPI document, the list of resources
)

// Groups lists every Group. Each route belongs to one.
func Groups() []Group {
	return []Group{GroupIngest, GroupCommand, GroupQuery, GroupOperate, GroupPlayback, GroupErase, GroupProcess}
}

func (s *server) serves(g Group) bool {
	return s.opts.Groups == nil || slices.Contains(s.opts.Groups, g)
}

func notServed(groups []Group, rt *route, path string) error {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = string(g)
	}
	return &annals.Error{
		Code: annals.CodeNotFound, Message: fmt.Sprintf("%s %s belongs to the group %s, and this process serves %s", rt.method, path, rt.group, strings.Join(names, ", ")),
		Hint: "send it to the process that serves that group",
	}
}
