package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"hongyan/internal/jsontree"
)

// assign puts n, which check has passed, into v, a settable value of the type
// that the shape was compiled from. It does what json.Unmarshal would, without
// reading the text once more; raw values point into the text.
func (s *shape) assign(n *jsontree.Node, v reflect.Value) error {
	if v.Type() == rawType {
		v.SetBytes(n.Raw)
		return nil
	}
	if n.Kind == jsontree.Null {
		return nil
	}
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if s.decodes {
		return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(n.Raw) //nolint:forcetypeassert // compile has looked
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Text())
	case reflect.Bool:
		v.SetBool(n.Raw[0] == 't')
	case reflect.Int, reflect.Int64, reflect.Int32:
		i, err := strconv.ParseInt(string(n.Raw), 10, v.Type().Bits())
		if err != nil {
			return err
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(string(n.Raw), 64)
		if err != nil {
			return err
		}
		v.SetFloat(f)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
		for i := range n.Items {
			if err := s.elem.assign(&n.Items[i], v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Items)))
		for i := range n.Items {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := s.elem.assign(&n.Items[i], item); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(n.Names[i].Text()).Convert(v.Type().Key()), item)
		}
	case reflect.Struct:
		for i := range n.Items {
			m := s.fields[string(n.Names[i].Bytes())]
			if err := m.assign(&n.Items[i], v.FieldByIndex(m.index)); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no way to fill %s", v.Type())
	}
	return nil
}
