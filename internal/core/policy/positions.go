package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Position is a place in a document's text. Both count from 1; columns are characters.
type Position struct{ Line, Column int }

// Span is where a statement stands in a document's text: from its brace to behind its closing brace.
type Span struct{ Start, End Position }

// Positions tells where the statements of a document stand, in their order. The text is one that [ParseDocument] has read;
// of any other the answer may be short.
func Positions(text string) []Span {
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil
		}
		if name != "Statement" {
			continue
		}
		start := int(dec.InputOffset()) - len(value)
		if !bytes.HasPrefix(value, []byte("[")) {
			return []Span{span(text, start, start+len(value))}
		}
		return listSpans(text, start, value)
	}
	return nil
}

// listSpans finds the elements of a list that begins at an offset of the text.
func listSpans(text string, at int, list json.RawMessage) []Span {
	dec := json.NewDecoder(bytes.NewReader(list))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	var spans []Span
	for dec.More() {
		var element json.RawMessage
		if dec.Decode(&element) != nil {
			return spans
		}
		end := at + int(dec.InputOffset())
		spans = append(spans, span(text, end-len(element), end))
	}
	return spans
}

func span(text string, from, to int) Span { return Span{position(text[:from]), position(text[:to])} }

// position is where what follows the text stands.
func position(before string) Position {
	line := strings.LastIndexByte(before, '\n') + 1
	return Position{Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[line:])}
}
