package usage_test

import (
	"reflect"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// operations calls every exported method that takes a context and a caller, with zero values for the rest, and tells how many there are.
func operations(t *testing.T, service any, caller identity.Caller, answered func(name string, err error)) int {
	t.Helper()
	v := reflect.ValueOf(service)
	asked := 0
	for i := range v.NumMethod() {
		m := v.Method(i)
		if m.Type().NumIn() < 2 || m.Type().In(1) != reflect.TypeFor[identity.Caller]() {
			continue
		}
		asked++
		in := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(caller)}
		for j := 2; j < m.Type().NumIn(); j++ {
			in = append(in, reflect.New(m.Type().In(j)).Elem())
		}
		out := m.Call(in)
		err, _ := reflect.TypeAssert[error](out[len(out)-1])
		answered(v.Type().Method(i).Name, err)
	}
	return asked
}
