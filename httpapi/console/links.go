package console

import (
	"net/url"
	"strconv"
	"strings"
)

// streamPath is the page of a stream.
func streamPath(name string) string { return Path + "streams/" + escapeSegments(name) }

// eventPath is the page of one event.
func eventPath(stream string, version int64) string {
	return Path + "event/" + escapeSegments(stream) + "?version=" + strconv.FormatInt(version, 10)
}

// statePath is the page of a stream's state at a version, 0 for the present one.
func statePath(stream string, version int64) string {
	path := Path + "state/" + escapeSegments(stream)
	if version > 0 {
		path += "?version=" + strconv.FormatInt(version, 10)
	}
	return path
}

// tracePath is the page of a request.
func tracePath(requestID string) string { return Path + "traces/" + url.PathEscape(requestID) }

// escapeSegments escapes a name for a path and keeps its slashes, which separate
// segments of names, too.
func escapeSegments(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// streamsAddress is the page of the streams whose names start with prefix, behind a
// name.
func streamsAddress(prefix, after string) string {
	values := url.Values{}
	if prefix != "" {
		values.Set("prefix", prefix)
	}
	if after != "" {
		values.Set("after", after)
	}
	return withQuery(Path+"streams", values)
}

func withQuery(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// prefixPath is the first page of the streams whose names start with prefix.
func prefixPath(prefix string) string { return streamsAddress(prefix, "") }

// searchPath is the search for what has a value in a field.
func searchPath(field, value string) string {
	return withQuery(Path+"search", url.Values{field: {value}})
}
