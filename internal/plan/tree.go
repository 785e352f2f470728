package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"hongyan/internal/domain"
	"hongyan/internal/jsontree"
	"hongyan/internal/render"
	"hongyan/wecom"
)

// maxDepth bounds the nesting of content.
const maxDepth = 16

var errDeep = errors.New("is nested too deeply")

// rewriter copies a JSON value in its order of fields, without white space and
// without \u escapes where UTF-8 will do (WeCom documents them as unsafe), and
// replaces media objects and edited strings on the way.
type rewriter struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	kind     wecom.Kind
	resolver MediaResolver
	robot    bool                           // it is for robots, too
	edits    map[string]func(string) string // by pointer

	media  []domain.MediaRef
	at     map[string]bool // pointers of placeholders
	bad    []domain.FieldError
	failed error // of the resolver: nothing that a field could mend
}

// rewrite gives the copy of a content and its tree.
func (r *rewriter) rewrite(content []byte) ([]byte, jsontree.Node, error) {
	out, err := r.value(make([]byte, 0, min(len(content), MaxContent)), content, "", 0)
	if err != nil {
		return nil, jsontree.Node{}, err
	}
	n, err := jsontree.Parse(out)
	return out, n, err
}

func (r *rewriter) value(dst []byte, raw json.RawMessage, pointer string, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return dst, nil
	}
	switch raw[0] {
	case '{':
		return r.object(dst, raw, pointer, depth)
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		dst = append(dst, '[')
		for i, e := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = r.value(dst, e, pointer+"/"+strconv.Itoa(i), depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case '"':
		edit := r.edits[pointer]
		if edit == nil && bytes.IndexByte(raw, '\\') < 0 {
			return append(dst, raw...), nil
		}
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		if edit != nil {
			s = edit(s)
		}
		return render.AppendString(dst, s), nil
	}
	return append(dst, raw...), nil
}

func (r *rewriter) object(dst []byte, raw json.RawMessage, pointer string, depth int) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	var names, short []string // as written to dst; and which of them {"media":…} stands for
	for first := true; dec.More(); first = false {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := tok.(string)
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		if !first {
			dst = append(dst, ',')
		}
		at := pointer + "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
		if name, inner, where := r.mediaField(pointer, key, v); name != "" {
			if key == "media" {
				short = append(short, name)
			}
			names = append(names, name)
			dst = append(render.AppendString(dst, name), ':')
			if dst = r.resolve(dst, inner, where, pointer+"/"+name, name); r.failed != nil {
				return nil, r.failed
			}
			continue
		}
		names = append(names, key)
		dst = append(render.AppendString(dst, key), ':')
		if dst, err = r.value(dst, v, at, depth+1); err != nil {
			return nil, err
		}
	}
	for _, name := range short {
		if n := slices.Index(names, name); slices.Contains(names[n+1:], name) { // WeCom would take either
			r.bad = append(r.bad, field("/content"+pointer+"/media", "exclusive", "cannot stand together with "+name, "keep one of them", name))
		}
	}
	return append(dst, '}'), nil
}

// mediaField recognises {"media_id":{"media":{…}}} and the shorter
// {"media":{…}} in the place of the id. It gives the field's name, the inner
// object as it was written and its pointer; no name when it is neither.
func (r *rewriter) mediaField(pointer, key string, v json.RawMessage) (name string, inner json.RawMessage, where string) {
	switch key {
	case "media":
		if len(v) > 0 && v[0] == '{' {
			return r.shortName(pointer), v, pointer + "/media"
		}
	case "media_id", "thumb_media_id", "picurl":
		if len(v) == 0 || v[0] != '{' {
			return "", nil, ""
		}
		var obj map[string]json.RawMessage
		if json.Unmarshal(v, &obj) == nil && len(obj) == 1 && len(obj["media"]) > 0 && obj["media"][0] == '{' {
			return key, obj["media"], pointer + "/" + key + "/media"
		}
	}
	return "", nil, ""
}

func (r *rewriter) shortName(pointer string) string {
	switch r.kind {
	case wecom.KindImage, wecom.KindVoice, wecom.KindVideo, wecom.KindFile:
		if pointer == "" {
			return "media_id"
		}
	case wecom.KindMPNews:
		if strings.HasPrefix(pointer, "/articles/") {
			return "thumb_media_id"
		}
	case wecom.KindNews:
		if strings.HasPrefix(pointer, "/articles/") {
			return "picurl"
		}
	}
	return ""
}

func (r *rewriter) resolve(dst []byte, inner json.RawMessage, where, pointer, name string) []byte {
	if r.resolver == nil {
		r.bad = append(r.bad, field("/content"+where, "unsupported", "media cannot be uploaded here", "use WeCom's own media_id"))
		return append(dst, `""`...)
	}
	mediaType := r.mediaType(name)
	if mediaType == "newsimage" && r.robot {
		r.bad = append(r.bad, field("/content"+where, "unsupported", "cannot be uploaded for a robot", "give picurl as a URL that members can reach"))
		return append(dst, `""`...)
	}
	if mediaType == "image" && r.robot {
		mediaType = "robotimage"
	}
	ref, wrong, err := r.resolver.Resolve(r.ctx, inner, mediaType)
	if mediaType == "robotimage" {
		ref.Type = "image"
	}
	if err != nil {
		r.failed = err
		return dst
	}
	if wrong != nil {
		f := *wrong
		f.Pointer = "/content" + where + f.Pointer
		r.bad = append(r.bad, f)
		return append(dst, `""`...)
	}
	known := false
	for _, m := range r.media {
		known = known || (m.SHA256 == ref.SHA256 && m.Type == ref.Type)
	}
	if !known {
		r.media = append(r.media, ref)
	}
	if r.at == nil {
		r.at = map[string]bool{}
	}
	r.at[pointer] = true
	return render.AppendString(dst, ref.Placeholder())
}

func (r *rewriter) mediaType(name string) string {
	switch {
	case name == "picurl":
		return "newsimage"
	case name == "thumb_media_id":
		return "image"
	}
	switch r.kind {
	case wecom.KindImage, wecom.KindVoice, wecom.KindVideo:
		return string(r.kind)
	}
	return "file"
}
