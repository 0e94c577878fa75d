package awswire

import (
	"maps"
	"slices"
	"strings"
)

// Operations puts the families of a service's operations together. Each family's file names its own.
func Operations(families ...map[string]Operation) map[string]Operation {
	all := map[string]Operation{}
	for _, family := range families {
		maps.Copy(all, family)
	}
	return all
}

// Others lists those of the names, which white space separates, that are not done: for Service.Known. Such a call is
// refused, never pretended.
func Others(names string, done map[string]Operation) []string {
	return slices.DeleteFunc(strings.Fields(names), func(name string) bool {
		_, ok := done[name]
		return ok
	})
}
