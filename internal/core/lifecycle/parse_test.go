package lifecycle_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
)

const (
	count1  = `"countType":"imageCountMoreThan","countNumber":1`
	days1   = `"countType":"sinceImagePushed","countUnit":"days","countNumber":1`
	expire  = `{"type":"expire"}`
	archive = `{"type":"transition","targetStorageClass":"archive"}`
	pulled1 = `"countType":"sinceImagePulled","countUnit":"days","countNumber":1`
	perApp  = `{"countPer":{"tagsUpTo":"last","separator":"-"}}`
)

// rule writes a rule, with what a selection has besides its tag status.
func rule(priority int, tagStatus, selection, action string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"selection":{"tagStatus":%q,%s},"action":%s}`, priority, tagStatus, selection, action)
}

// extended gives a rule Berth's own member, if it is to have one.
func extended(rule, extension string) string {
	if extension == "" {
		return rule
	}
	return strings.TrimSuffix(rule, "}") + `,"berth":` + extension + "}"
}

func document(rules ...string) string { return `{"rules":[` + strings.Join(rules, ",") + `]}` }

// long makes a text of at least 100 characters of one that may be shorter.
func long(text string) string { return text + strings.Repeat(" ", 100) }

func TestParse(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"count":               document(rule(1, "any", count1, expire)),
		"since pushed":        document(rule(1, "untagged", days1, expire)),
		"patterns":            document(rule(1, "tagged", `"tagPatternList":["a*b*c*d*","v"],`+count1, expire)),
		"prefixes":            document(rule(1, "tagged", `"tagPrefixList":["v","a*"],`+count1, expire)),
		"archive by pull":     document(rule(1, "any", `"countType":"sinceImagePulled","countUnit":"days","countNumber":90`, archive)),
		"expire from archive": document(rule(1, "any", `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)),
		"standard by name":    document(rule(1, "any", `"storageClass":"standard",`+count1, archive)),
		"description":         document(strings.Replace(rule(1, "any", count1, expire), `"selection"`, `"description":"<a & b> é","selection"`, 1)),
		"empty description":   document(strings.Replace(rule(1, "any", count1, expire), `"selection"`, `"description":"","selection"`, 1)),
		"one any of each":     document(rule(1, "any", days1, archive), rule(2, "any", `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)),
		"any below archive":   document(rule(1, "any", `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire), rule(2, "untagged", days1, expire)),
		"same tag, two classes": document(rule(1, "tagged", `"tagPatternList":["v*"],`+count1, expire),
			rule(2, "tagged", `"tagPatternList":["v*"],"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)),
		"berth: per application": document(extended(rule(1, "tagged", `"tagPatternList":["*-*"],`+count1, expire), perApp)),
		"berth: moved by count":  document(extended(rule(1, "tagged", `"tagPrefixList":["v"],`+count1, archive), `{"countPer":{"tagsUpTo":"first","separator":"._-"},"countImagesOnly":true}`)),
		"berth: images only":     document(extended(rule(1, "untagged", count1, expire), `{"countImagesOnly":true}`)),
		"berth: expire by pull":  document(extended(rule(1, "any", pulled1, expire), `{"expireByPull":true}`)),
		"the largest numbers":    document(strings.ReplaceAll(rule(2147483647, "any", days1, expire), `"countNumber":1`, `"countNumber":2147483647`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := lifecycle.Parse(text)
			if err != nil {
				t.Fatalf("Parse(%s): %v", text, err)
			}
			if got := p.Text(); got != text {
				t.Errorf("the policy came back as\n%s\nwant\n%s", got, text)
			}
		})
	}
}

// TestTextIsInOrder: white space goes, rules and members come in ECR's order.
func TestTextIsInOrder(t *testing.T) {
	t.Parallel()
	p, err := lifecycle.Parse(`{
		"rules": [
			{"action": {"type": "expire"}, "selection": {"countNumber": 30, "tagStatus": "any", "countUnit": "days", "countType": "sinceImagePushed"}, "rulePriority": 20},
			{"selection": {"countType": "imageCountMoreThan", "countNumber": 10, "tagPatternList": ["v*", "a"], "tagStatus": "tagged"},
			 "rulePriority": 3, "description": "keep ten", "action": {"type": "expire"}}
		]}`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"rules":[` +
		`{"rulePriority":3,"description":"keep ten","selection":{"tagStatus":"tagged","tagPatternList":["v*","a"],"countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}},` +
		`{"rulePriority":20,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}`
	if got := p.Text(); got != want {
		t.Errorf("Text:\n%s\nwant\n%s", got, want)
	}
}

const misfit = "instance failed to match exactly one schema (matched 0 out of 2)"

// refused are documents that ECR refuses, with what it says.
func refused() map[string]struct{ text, words string } {
	tagged := func(lists string) string { return document(rule(1, "tagged", lists+count1, expire)) }
	selected := func(selection string) string { return document(rule(1, "any", selection, expire)) }
	acted := func(action string) string { return document(rule(1, "any", count1, action)) }
	twice := func(tagStatus, selection string) string {
		return document(rule(1, tagStatus, selection, expire), rule(2, tagStatus, selection, expire))
	}
	good := document(rule(1, "any", count1, expire))
	with := func(old, replaced string) string { return strings.Replace(good, old, replaced, 1) }
	many := make([]string, 51)
	for i := range many {
		many[i] = rule(i+1, "tagged", fmt.Sprintf(`"tagPrefixList":["v%d"],`, i)+count1, expire)
	}
	return map[string]struct{ text, words string }{
		"no JSON":                {long("rules:"), "Could not map policyString into LifecyclePolicy."},
		"two documents":          {good + good, "Could not map policyString into LifecyclePolicy."},
		"unfinished":             {good[:len(good)-1], "Could not map policyString into LifecyclePolicy."},
		"a member twice":         {with(`"rulePriority":1`, `"rulePriority":1,"rulePriority":2`), "Could not map policyString into LifecyclePolicy."},
		"a list":                 {long(`[]`), `instance type (array) does not match any allowed primitive type (allowed: ["object"])`},
		"null":                   {long(`null`), `instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		"no rules":               {long(`{}`), `object has missing required properties (["rules"])`},
		"rules null":             {long(`{"rules":null}`), `instance type (null) does not match any allowed primitive type (allowed: ["array"])`},
		"rules empty":            {long(`{"rules":[]}`), "array is too short: must have at least 1 elements but instance has 0 elements"},
		"51 rules":               {document(many...), "array is too long: must have at most 50 elements but instance has 51 elements"},
		"unknown beside rules":   {with(`{"rules"`, `{"version":1,"rules"`), `object instance has properties which are not allowed by the schema: ["version"]`},
		"another case":           {with(`"rules"`, `"Rules"`), `object instance has properties which are not allowed by the schema: ["Rules"]`},
		"a null rule":            {long(`{"rules":[null]}`), `instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		"an empty rule":          {long(`{"rules":[{}]}`), `object has missing required properties (["action","rulePriority","selection"])`},
		"unknown in a rule":      {with(`"rulePriority"`, `"z":1,"b":2,"rulePriority"`), `not allowed by the schema: ["b","z"]`},
		"description null":       {with(`"rulePriority"`, `"description":null,"rulePriority"`), `instance type (null) does not match any allowed primitive type (allowed: ["string"])`},
		"priority 0":             {with(`"rulePriority":1`, `"rulePriority":0`), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
		"priority -3":            {with(`"rulePriority":1`, `"rulePriority":-3`), "numeric instance is lower than the required minimum (minimum: 1, found: -3)"},
		"priority 1.5":           {with(`"rulePriority":1`, `"rulePriority":1.5`), `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`},
		"priority a text":        {with(`"rulePriority":1`, `"rulePriority":"1"`), `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`},
		"priority huge":          {with(`"rulePriority":1`, `"rulePriority":2147483648`), "numeric instance is greater than the required maximum (maximum: 2147483647, found: 2147483648)"},
		"priorities equal":       {document(rule(1, "untagged", count1, expire), rule(1, "any", count1, expire)), "Rule priorities must be unique."},
		"action null":            {acted(`null`), `instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		"action unknown":         {acted(`{"type":"delete"}`), misfit},
		"target null":            {acted(`{"type":"expire","targetStorageClass":null}`), misfit},
		"target standard":        {acted(`{"type":"transition","targetStorageClass":"standard"}`), misfit},
		"transition nowhere":     {acted(`{"type":"transition"}`), misfit},
		"tag status":             {document(rule(1, "TAGGED", count1, expire)), `instance value ("TAGGED") not found in enum (possible values: ["any","tagged","untagged"])`},
		"selection unknown":      {selected(`"tagList":["a"],` + count1), `not allowed by the schema: ["tagList"]`},
		"no count":               {selected(`"countType":"imageCountMoreThan"`), `object has missing required properties (["countNumber"])`},
		"count 0":                {selected(`"countType":"imageCountMoreThan","countNumber":0`), "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
		"count type":             {selected(`"countType":"imageCountLessThan","countNumber":1`), misfit},
		"unit missing":           {selected(`"countType":"sinceImagePushed","countNumber":1`), misfit},
		"unit null":              {selected(`"countType":"sinceImagePushed","countUnit":null,"countNumber":1`), misfit},
		"unit hours":             {selected(`"countType":"sinceImagePushed","countUnit":"hours","countNumber":1`), misfit},
		"unit of a count":        {selected(`"countUnit":"days",` + count1), misfit},
		"storage class":          {selected(`"storageClass":"ARCHIVE",` + count1), `instance value ("ARCHIVE") not found in enum (possible values: ["archive","standard"])`},
		"count in archive":       {selected(`"storageClass":"archive",` + count1), misfit},
		"pushed in archive":      {selected(`"storageClass":"archive",` + days1), misfit},
		"pulled expires":         {selected(`"countType":"sinceImagePulled","countUnit":"days","countNumber":1`), misfit},
		"transitioned, no class": {selected(`"countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`), misfit},
		"transitioned, moved":    {document(rule(1, "any", `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, archive)), misfit},
		"archived 89 days":       {selected(`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":89`), "archived for less than 90 days"},
		"tagged without list":    {tagged(""), "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."},
		"both lists":             {tagged(`"tagPrefixList":["a"],"tagPatternList":["b"],`), "Must specify only one of tagPrefixList and tagPatternList."},
		"list empty":             {tagged(`"tagPatternList":[],`), "array is too short"},
		"list null":              {tagged(`"tagPrefixList":null,`), `instance type (null) does not match any allowed primitive type (allowed: ["array"])`},
		"list of numbers":        {tagged(`"tagPrefixList":[1],`), `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`},
		"list with twins":        {tagged(`"tagPrefixList":["a","a"],`), "array must not contain duplicate elements"},
		"an empty prefix":        {tagged(`"tagPrefixList":[""],`), "is too short (length: 0, required minimum: 1)"},
		"five wildcards":         {tagged(`"tagPatternList":["*a*b*c*d*"],`), "at most 4 wildcards"},
		"untagged with list":     {document(rule(1, "untagged", `"tagPrefixList":["a"],`+count1, expire)), "Must not specify tagPrefixList or tagPatternList unless tagStatus=TAGGED."},
		"two untagged":           {twice("untagged", count1), "Only one rule can select Untagged images per storage class."},
		"two any":                {twice("any", count1), "Rule for tagStatus=ANY must have the lowest priority per storage class"},
		"any before untagged":    {document(rule(2, "untagged", count1, expire), rule(1, "any", count1, expire)), "Rule for tagStatus=ANY must have the lowest priority per storage class"},
		"a prefix in two rules":  {twice("tagged", `"tagPrefixList":["a"],`+count1), "must be unique across rules"},
	}
}

// refusedExtensions are documents whose member "berth" is refused, or that lack it.
func refusedExtensions() map[string]struct{ text, words string } {
	counted := func(extension string) string {
		return document(extended(rule(1, "tagged", `"tagPatternList":["*-*"],`+count1, expire), extension))
	}
	per := func(members string) string { return counted(`{"countPer":` + members + `}`) }
	any1 := func(selection, action, extension string) string {
		return document(extended(rule(1, "any", selection, action), extension))
	}
	const (
		perNot    = "Must not specify berth.countPer unless tagStatus=TAGGED and countType=imageCountMoreThan."
		imagesNot = "Must not specify berth.countImagesOnly unless countType=imageCountMoreThan."
		pullNot   = "Must not specify berth.expireByPull unless countType=sinceImagePulled and the action is expire."
		transited = `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`
		regex     = `ECMA 262 regex "^[A-Za-z0-9_.-]{1,128}$" does not match input string `
	)
	return map[string]struct{ text, words string }{
		"berth null":                {counted(`null`), `instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		"berth true":                {counted(`true`), `instance type (boolean) does not match any allowed primitive type (allowed: ["object"])`},
		"berth empty":               {counted(`{}`), "must have at least 1 members but instance has 0 members"},
		"berth unknown":             {counted(`{"keepDeployed":true}`), `not allowed by the schema: ["keepDeployed"]`},
		"berth beside rules":        {strings.Replace(counted(perApp), `{"rules"`, `{"berth":{},"rules"`, 1), `not allowed by the schema: ["berth"]`},
		"berth in a selection":      {document(rule(1, "any", `"berth":{"countImagesOnly":true},`+count1, expire)), `not allowed by the schema: ["berth"]`},
		"berth in another case":     {strings.Replace(counted(perApp), `"berth"`, `"Berth"`, 1), `not allowed by the schema: ["Berth"]`},
		"per null":                  {per(`null`), `instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
		"per nothing":               {per(`{}`), `object has missing required properties (["separator","tagsUpTo"])`},
		"per unknown":               {per(`{"tagsUpTo":"last","separator":"-","n":1}`), `not allowed by the schema: ["n"]`},
		"per up to the middle":      {per(`{"tagsUpTo":"middle","separator":"-"}`), `instance value ("middle") not found in enum (possible values: ["first","last"])`},
		"per separator null":        {per(`{"tagsUpTo":"last","separator":null}`), `instance type (null) does not match any allowed primitive type (allowed: ["string"])`},
		"per empty separator":       {per(`{"tagsUpTo":"last","separator":""}`), regex + `""`},
		"per slash":                 {per(`{"tagsUpTo":"last","separator":"/"}`), regex + `"/"`},
		"per long separator":        {per(`{"tagsUpTo":"last","separator":"` + strings.Repeat("-", 129) + `"}`), regex},
		"per of any":                {any1(count1, expire, perApp), perNot},
		"per of untagged":           {document(extended(rule(1, "untagged", count1, expire), perApp)), perNot},
		"per of ages":               {document(extended(rule(1, "tagged", `"tagPatternList":["*-*"],`+days1, expire), perApp)), perNot},
		"images only, false":        {counted(`{"countImagesOnly":false}`), "instance value (false) not found in enum (possible values: [true])"},
		"images only, a text":       {counted(`{"countImagesOnly":"true"}`), `instance type (string) does not match any allowed primitive type (allowed: ["boolean"])`},
		"images only of ages":       {any1(days1, expire, `{"countImagesOnly":true}`), imagesNot},
		"images only in archive":    {any1(transited, expire, `{"countImagesOnly":true}`), imagesNot},
		"by pull, false":            {any1(pulled1, expire, `{"expireByPull":false}`), "instance value (false) not found in enum (possible values: [true])"},
		"by pull of a push":         {any1(days1, expire, `{"expireByPull":true}`), pullNot},
		"by pull, moved":            {any1(pulled1, archive, `{"expireByPull":true}`), pullNot},
		"by pull of a count":        {any1(count1, expire, `{"expireByPull":true}`), pullNot},
		"by pull in archive":        {any1(transited, expire, `{"expireByPull":true}`), pullNot},
		"by pull, archive's images": {any1(`"storageClass":"archive",`+pulled1, expire, `{"expireByPull":true}`), misfit},
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	all := refused()
	maps.Copy(all, refusedExtensions())
	for name, tt := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := lifecycle.Parse(tt.text)
			if !errors.Is(err, fault.InvalidParameter) {
				t.Fatalf("Parse(%s): %v, want an invalid parameter", tt.text, err)
			}
			f, _ := fault.Of(err)
			const frame = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "
			if !strings.HasPrefix(f.Message, frame) || !strings.Contains(f.Message, tt.words) || !strings.HasSuffix(f.Message, "'") {
				t.Errorf("Parse(%s) says\n%s\nwant\n%s…%s…'", tt.text, f.Message, frame, tt.words)
			}
		})
	}
}

func TestParseBoundsTheText(t *testing.T) {
	t.Parallel()
	good := document(rule(1, "any", count1, expire))
	fill := func(n int) string { return good + strings.Repeat(" ", n-len(good)) }
	if _, err := lifecycle.Parse(fill(lifecycle.MaxText)); err != nil {
		t.Errorf("30720 characters: %v", err)
	}
	wide := document(strings.Replace(rule(1, "any", count1, expire), `"selection"`, `"description":"`+strings.Repeat("é", 20000)+`","selection"`, 1))
	if _, err := lifecycle.Parse(wide); err != nil {
		t.Errorf("20,000 letters of two bytes each: %v", err)
	}
	for text, want := range map[string]string{
		fill(lifecycle.MaxText + 1): "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length less than or equal to 30720'",
		"":                          "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'",
		strings.Repeat("x", 99):     "Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'",
	} {
		if _, err := lifecycle.Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse of %d characters: %v, want %s", len(text), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document(rule(1, "any", count1, expire)))
	f.Add(document(extended(rule(1, "tagged", `"tagPatternList":["*-*"],`+count1, expire), perApp)))
	f.Add(document(extended(rule(1, "any", pulled1, expire), `{"expireByPull":true}`)))
	for _, r := range refused() {
		f.Add(r.text)
	}
	for _, r := range refusedExtensions() {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := lifecycle.Parse(text)
		if err != nil {
			if !errors.Is(err, fault.InvalidParameter) {
				t.Fatalf("%v is no invalid parameter", err)
			}
			return
		}
		again, err := lifecycle.Parse(p.Text())
		if err != nil || again.Text() != p.Text() {
			t.Fatalf("%s came back as %s, which is read as %s (%v)", text, p.Text(), again.Text(), err)
		}
	})
}
