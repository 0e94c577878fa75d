package metadb

import (
	"encoding/json"
	"regexp"
	"strings"
)

// dialect turns the SQL text that both databases share into the words of one. The marks in the text:
//
//	texts($n)     the strings of a JSON list, as rows of one column, value
//	objects($n)   the objects of a JSON list, as rows of one column, value, to be picked apart with ->>
//	unhex(x)      bytes of their hexadecimal digits, in which they travel in such an object
//	FOR UPDATE (SKIP LOCKED), FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE
//	              row locks, which SQLite, having one writer, neither has nor needs
//
// Lists travel as one JSON parameter, so that a statement has the same text, and stays prepared, for
// lists of any length.
//
// PostgreSQL is given x IN (SELECT value FROM texts($n)), also with CAST(value AS BIGINT) and with NOT, as a comparison with the
// elements of an array. Otherwise it joins the list to the table, and takes it to be so long, and what it finds, as long as there are
// no statistics, to be so much, that it reads the whole table, or all of a repository.
type dialect struct {
	name    string // as goose and the folder of migrations call it
	texts   string // with $1 for the parameter
	objects string
	locks   bool
	arrays  bool // a list is compared with as an array
}

// membership is a condition on whether something is in a list.
var membership = regexp.MustCompile(`\b(NOT )?IN \(SELECT (value|CAST\(value AS BIGINT\)) FROM texts\(\$(\d+)\)\)`)

func sqliteDialect() dialect {
	return dialect{name: "sqlite", texts: "json_each($1) AS texts", objects: "json_each($1) AS objects"}
}

func postgresDialect() dialect {
	return dialect{
		name:    "postgres",
		texts:   "json_array_elements_text(CAST($1 AS json)) AS texts (value)",
		objects: "json_array_elements(CAST($1 AS json)) AS objects (value)",
		locks:   true,
		arrays:  true,
	}
}

// digits is where bytes are made of hexadecimal digits.
var digits = regexp.MustCompile(`\bunhex\(([^()]*)\)`)

// sql gives the text in the dialect's words.
func (d dialect) sql(text string) string {
	if !d.locks {
		text = strings.NewReplacer(" FOR UPDATE SKIP LOCKED", "", " FOR UPDATE", "", " FOR NO KEY UPDATE", "", " FOR SHARE", "", " FOR KEY SHARE", "").Replace(text)
	}
	if d.arrays {
		text = membership.ReplaceAllStringFunc(text, func(condition string) string {
			list, not := strings.CutPrefix(condition, "NOT ")
			list = strings.TrimSuffix(strings.TrimPrefix(list, "IN ("), ")")
			if not {
				return "<> ALL (ARRAY(" + list + "))"
			}
			return "= ANY (ARRAY(" + list + "))"
		})
		text = digits.ReplaceAllString(text, "decode($1, 'hex')")
	}
	if strings.Contains(text, "texts(") {
		text = regexp.MustCompile(`\btexts\(\$(\d+)\)`).ReplaceAllString(text, strings.Replace(d.texts, "$1", "$$$1", 1))
	}
	if strings.Contains(text, "objects(") {
		text = regexp.MustCompile(`\bobjects\(\$(\d+)\)`).ReplaceAllString(text, strings.Replace(d.objects, "$1", "$$$1", 1))
	}
	return text
}

// jsonText makes the parameter for texts and objects, and the value of a column that holds JSON.
func jsonText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
