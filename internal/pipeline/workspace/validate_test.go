package workspace_test

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// validate is as much of JSON Schema as Schema uses, and fails on what it does not know. It gives what is wrong with a value, "" if nothing is.
func validate(schema map[string]any, value any) string {
	for keyword := range schema {
		if !slices.Contains([]string{"$schema", "title", "description", "type", "properties", "required", "additionalProperties", "items", "minItems", "minLength", "enum", "pattern", "format", "anyOf", "minimum", "maximum"}, keyword) {
			return "a keyword that is not known here: " + keyword
		}
	}
	if types, ok := schema["type"]; ok && !isOf(types, value) {
		return fmt.Sprintf("%v is no %v", value, types)
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Sprintf("%v is none of %v", value, enum)
	}
	if several, ok := schema["anyOf"].([]any); ok {
		good := false
		for _, each := range several {
			good = good || validate(each.(map[string]any), value) == ""
		}
		if !good {
			return fmt.Sprintf("%v is none of several", value)
		}
	}
	switch v := value.(type) {
	case float64:
		least, some := schema["minimum"].(float64)
		most, bounded := schema["maximum"].(float64)
		if some && v < least || bounded && v > most {
			return fmt.Sprintf("%v is too small or too large", v)
		}
	case string:
		return validateString(schema, v)
	case []any:
		if least, ok := schema["minItems"].(float64); ok && len(v) < int(least) {
			return "too few"
		}
		for _, each := range v {
			if items, ok := schema["items"].(map[string]any); ok {
				if problem := validate(items, each); problem != "" {
					return problem
				}
			}
		}
	case map[string]any:
		return validateObject(schema, v)
	}
	return ""
}

func isOf(types, value any) bool {
	list, ok := types.([]any)
	if !ok {
		list = []any{types}
	}
	is := "null"
	switch v := value.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		if is = "number"; v == float64(int(v)) {
			is = "integer"
		}
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	}
	return slices.Contains(list, any(is)) || is == "integer" && slices.Contains(list, any("number"))
}

func validateString(schema map[string]any, v string) string {
	if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return fmt.Sprintf("%q does not match %s", v, p)
	}
	if least, ok := schema["minLength"].(float64); ok && len(v) < int(least) {
		return "too short"
	}
	if _, err := time.Parse(time.DateOnly, v); schema["format"] == "date" && err != nil {
		return v + " is no date"
	}
	return ""
}

func validateObject(schema, v map[string]any) string {
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if v[key.(string)] == nil {
			return fmt.Sprintf("%v is missing", key)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, each := range v {
		of, ok := properties[key].(map[string]any)
		if !ok {
			if of, ok = schema["additionalProperties"].(map[string]any); !ok {
				if schema["additionalProperties"] == false {
					return "no key " + key
				}
				continue
			}
		}
		if problem := validate(of, each); problem != "" {
			return key + ": " + problem
		}
	}
	return ""
}
