package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jmespath/go-jmespath"
	"github.com/spf13/cobra"
)

// What --query and, after it, --output text print is what the AWS CLI prints for the same data, so that a line of a
// script that was written for one can be used with the other.

// queryOf gives the expression of --query, or nil.
func queryOf(cmd *cobra.Command) (*jmespath.JMESPath, error) {
	flag := cmd.Flags().Lookup("query")
	if flag == nil || !flag.Changed {
		return nil, nil
	}
	text := flag.Value.String()
	expression, err := jmespath.Compile(text)
	if err != nil { // the AWS CLI's grammar is as generous with all words; this one is, but for those that begin like JSON
		expression, err = jmespath.Compile(bareWord.ReplaceAllStringFunc(text, quoteBare))
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--query: %q is no JMESPath: %w", text, err), "see: https://jmespath.org"}
	}
	return expression, nil
}

// bareWord is a literal between backticks.
var bareWord = regexp.MustCompile("`[^`]*`")

// quoteBare makes a string of a literal that is no JSON.
func quoteBare(literal string) string {
	inside := strings.TrimSpace(strings.Trim(literal, "`"))
	if json.Valid([]byte(inside)) {
		return literal
	}
	return "`" + strconv.Quote(inside) + "`"
}

// search gives what the expression finds in the JSON form of data.
func search(expression *jmespath.JMESPath, data any) (any, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encoding what --query is asked of: %w", err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("reading what --query is asked of: %w", err)
	}
	found, err := expression.Search(plain)
	if err != nil {
		return nil, usageError{fmt.Errorf("--query: %w", err), ""}
	}
	// An expression gives Go's own numbers and slices, too.
	if text, err = json.Marshal(found); err != nil {
		return nil, fmt.Errorf("encoding what --query found: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var result any
	if err := decoder.Decode(&result); err != nil {
		return nil, fmt.Errorf("reading what --query found: %w", err)
	}
	return result, nil
}

// writeFound writes what a query found as the AWS CLI's text: a line for a value or a list of values, with tabs between
// them, and a line for each object, which begins with the name under which its list was found.
func writeFound(w io.Writer, found any) error {
	t := foundText{w: w}
	t.value("", found, nil)
	return t.err
}

type foundText struct {
	w   io.Writer
	err error
}

func (t *foundText) line(name string, words []string) {
	if name != "" {
		words = append([]string{strings.ToUpper(name)}, words...)
	}
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.Join(words, "\t"))
	}
}

// value writes a value that stands under a name. The columns are those of all objects of its list.
func (t *foundText) value(name string, v any, columns []string) {
	switch v := v.(type) {
	case map[string]any:
		t.object(name, v, columns)
	case []any:
		t.list(name, v)
	default:
		t.line("", []string{word(v)})
	}
}

func (t *foundText) object(name string, o map[string]any, columns []string) {
	var words, deeper []string
	if columns == nil {
		columns = plainKeys([]any{o})
	}
	for _, key := range columns {
		if v, ok := o[key]; ok {
			words = append(words, word(v))
		} else {
			words = append(words, "")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(columns, key) {
			deeper = append(deeper, key)
		}
	}
	if len(words) > 0 {
		t.line(name, words)
	}
	for _, key := range deeper {
		t.value(key, o[key], nil)
	}
}

func (t *foundText) list(name string, list []any) {
	if slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return ok }) {
		columns := plainKeys(list)
		for _, v := range list {
			t.value(name, v, columns)
		}
		return
	}
	var words []string
	var lists []any
	for _, v := range list {
		if _, ok := v.([]any); ok {
			lists = append(lists, v)
		} else {
			words = append(words, word(v))
		}
	}
	switch {
	case len(words) > 0 && name == "":
		t.line("", words)
	default:
		for _, one := range words {
			t.line(name, []string{one})
		}
	}
	for _, v := range lists {
		t.value(name, v, nil)
	}
}

// plainKeys gives the names of all members that are neither objects nor lists somewhere.
func plainKeys(list []any) []string {
	keys := map[string]bool{}
	for _, v := range list {
		o, _ := v.(map[string]any)
		for key, member := range o {
			if isPlain(member) {
				keys[key] = true
			}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(keys))...)
}

func isPlain(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// word is a value as Python, which the AWS CLI is written in, prints it.
func word(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e18 {
			return strconv.FormatInt(int64(f), 10)
		}
		return v.String()
	case string:
		return v
	default: // a list where another object of the list has a plain value
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
}
