// Package render turns the content of a scene and the data of a message into
// the JSON that WeCom takes.
//
// Every string of the content is a Go text/template with a closed list of
// functions (see [Functions]). Templates are written by people in a console
// and data comes from strangers, so neither may break the JSON around a value,
// spin, or grow without end:
//
//   - a template is checked when it is compiled: no define, template, block,
//     call or unknown function, no range over numbers, bounded nesting and size;
//   - data is plain decoded JSON without methods, bounded in depth and size;
//   - one execution ends after [MaxTime] or [MaxOutput] bytes, also when it
//     writes nothing; on a machine that is too busy it may take longer.
//
// A field that the data lacks is an error that names the field, unless it is
// handed to default or asked for by if or with.
//
// A [Template] is immutable and safe for concurrent use.
package render

import "time"

// The bounds. They hold for one content, all its strings together.
const (
	MaxSource  = 64 << 10               // bytes of content source
	MaxOutput  = 64 << 10               // bytes of rendered JSON, and of any string on the way there
	MaxTime    = 100 * time.Millisecond // one execution of more than a few steps
	MaxNesting = 16                     // if, with and range inside each other
	MaxRanges  = 4                      // range inside range
	MaxLeaves  = 512                    // strings in one content
	MaxDepth   = 32                     // nesting of data and of content
	MaxValues  = 10_000                 // values in data
	MaxData    = 1 << 20                // bytes of all strings in data
	MaxItems   = 1_000                  // elements that one range visits
)
