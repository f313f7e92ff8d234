package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
)

// An Invoke hands a payload to a function and returns its answer. An error means that the
// function failed as a whole, or ended.
type Invoke func(payload []byte) (answer []byte, err error)

// Odds are how often a source does what it may do, each once in so many times; 0 is
// never.
type Odds struct {
	Again int // hands a handled batch, or a message of it, over again
	Twice int // hands one batch to two instances of the function, one after the other
}

func (o *Odds) happens(random *rand.Rand, oneIn int) bool {
	return oneIn > 0 && random.IntN(oneIn) == 0
}

// failures reads a partial batch response.
func failures(answer []byte) ([]string, error) {
	var given struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &given); err != nil {
		return nil, fmt.Errorf("delivery: the answer %.300s is no partial batch response: %w", answer, err)
	}
	var ids []string
	for _, f := range given.Failures {
		if f.ID == "" {
			return nil, errors.New("delivery: the answer names a failure without an id, which makes the whole batch fail for ever")
		}
		ids = append(ids, f.ID)
	}
	return ids, nil
}

func payload(records []map[string]any) []byte {
	text, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err) // made of maps and texts
	}
	return text
}
