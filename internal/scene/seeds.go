package scene

import (
	"bytes"
	_ "embed"
	"encoding/json"

	"hongyan/internal/domain"
)

//go:embed seeds.json
var seeds []byte

// Seeds returns the scenes that a new installation starts with: one for each of
// the codes 0 to 12, and a few without a code that show the other kinds. They
// name no app and no recipients; the caller sets both. Each carries examples
// of its variables, so that [Sample] gives data that fits. The slice is the
// caller's.
func Seeds() []domain.Scene {
	dec := json.NewDecoder(bytes.NewReader(seeds))
	dec.DisallowUnknownFields()
	var out []domain.Scene
	if err := dec.Decode(&out); err != nil { // a test reads the file
		panic("scene: seeds: " + err.Error())
	}
	for i := range out { // as the API would store them
		out[i].Content = compact(out[i].Content)
		out[i].Variables = compact(out[i].Variables)
	}
	return out
}

func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
