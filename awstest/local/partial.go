package local

import (
	"bytes"
	"encoding/json"
)

// partialAnswer reads a partial batch response: the items that failed, by their
// identifiers. It is not ok, and the whole batch failed, if an identifier is
// missing, empty, or of no item of the batch. An empty or null answer is a
// success.
func partialAnswer(payload []byte, has func(id string) bool) (failed []string, ok bool) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || bytes.Equal(payload, []byte(`""`)) {
		return nil, true
	}
	var answer *struct {
		BatchItemFailures []struct {
			ItemIdentifier string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, false
	}
	if answer == nil {
		return nil, true
	}
	for _, item := range answer.BatchItemFailures {
		if item.ItemIdentifier == "" || !has(item.ItemIdentifier) {
			return nil, false
		}
		failed = append(failed, item.ItemIdentifier)
	}
	return failed, true
}
