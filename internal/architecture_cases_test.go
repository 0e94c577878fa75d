package internal_test

import (
	"fmt"
	"testing/fstest"
)

// source makes a file from Go text.
func source(format string, args ...any) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, format+"\n", args...)}
}

// importing is a file of a package that imports others.
func importing(imports ...string) string {
	text := "// Package x is a case.\npackage x\n"
	for _, i := range imports {
		text += fmt.Sprintf("import _ %q\n", i)
	}
	return text
}

// ruleTests are small trees, and what the rules find in them.
var ruleTests = map[string]struct {
	files map[string]string
	want  []string
}{
	"nothing": {
		files: map[string]string{
			"internal/core/registry/a.go":           importing("io", module+"/internal/core/oci", module+"/internal/core/identity"),
			"internal/api/ecr/a.go":                 importing("net/http", module+"/internal/core/registry", module+"/internal/api/awswire"),
			"internal/api/ecr/a_test.go":            importing("os/exec", module+"/internal/api/sts"),
			"internal/storage/metadb/a.go":          importing("database/sql", module+"/internal/storage/metadb/dialect"),
			"internal/storage/blobtest/a.go":        importing("testing", module+"/internal/core/blob"),
			"internal/e2e/x/a.go":                   importing("testing", "net/http", module+"/internal/storage/metadb"),
			"internal/core/a_test.go":               "// Package core_test is a case.\npackage core_test",
			"internal/core/scan/testdata/broken.go": "not Go",
			"tools/go.mod":                          "module tools",
			"tools/a.go":                            "package tools",
		},
	},
	"heart imports a face": {
		files: map[string]string{"internal/core/registry/a.go": importing(module + "/internal/api/ecr")},
		want:  []string{"internal/core/registry imports internal/api/ecr"},
	},
	"people import each other": {
		files: map[string]string{"internal/core/policy/a.go": importing(module + "/internal/core/identity")},
		want:  []string{"internal/core/policy imports internal/core/identity"},
	},
	"two around the heart meet": {
		files: map[string]string{"internal/core/usage/a.go": importing(module+"/internal/core/registry", module+"/internal/core/scan")},
		want:  []string{"internal/core/usage imports internal/core/scan"},
	},
	"a face imports another and storage": {
		files: map[string]string{"internal/api/ecr/a.go": importing(module+"/internal/api/sts", module+"/internal/storage/metadb")},
		want:  []string{"internal/api/ecr imports internal/api/sts", "internal/api/ecr imports internal/storage/metadb"},
	},
	"a technology imports another": {
		files: map[string]string{"internal/storage/s3blob/a.go": importing(module + "/internal/storage/diskblob")},
		want:  []string{"internal/storage/s3blob imports internal/storage/diskblob"},
	},
	"the server imports a test helper": {
		files: map[string]string{"internal/app/a.go": importing(module + "/internal/storage/metadb/metadbtest")},
		want:  []string{"internal/app imports internal/storage/metadb/metadbtest"},
	},
	"the pipeline is no customer": {
		files: map[string]string{"internal/pipeline/plan/a.go": importing(module+"/internal/core/oci", module+"/internal/core/registry")},
		want:  []string{"internal/pipeline/plan imports internal/core/registry"},
	},
	"HTTP in the heart, on another system": {
		files: map[string]string{"internal/core/registry/a_windows.go": importing("net/http/httputil")},
		want:  []string{"internal/core/registry imports net/http/httputil"},
	},
	"SQL and a bucket outside their rooms": {
		files: map[string]string{
			"internal/app/a.go": importing("database/sql", "github.com/jackc/pgx/v5/stdlib", "github.com/aws/aws-sdk-go-v2/service/s3/types"),
		},
		want: []string{
			"internal/app imports database/sql", "internal/app imports github.com/jackc/pgx/v5/stdlib",
			"internal/app imports github.com/aws/aws-sdk-go-v2/service/s3/types",
		},
	},
	"a package without a layer": {
		files: map[string]string{"internal/util/a.go": importing()},
		want:  []string{"internal/util is in no layer"},
	},
	"a group folder with a package": {
		files: map[string]string{"internal/core/a.go": importing()},
		want:  []string{"internal/core holds Go files"},
	},
	"no package comment but a test's": {
		files: map[string]string{
			"internal/core/oci/a_test.go": "// Package oci_test says nothing of oci.\npackage oci_test",
			"internal/core/oci/b.go":      "package oci",
		},
		want: []string{"internal/core/oci has no package comment"},
	},
	"clock, environment and output, whatever they are called": {
		files: map[string]string{
			"internal/core/gc/a.go": "// Package gc is a case.\npackage gc\nimport clock \"time\"\nvar now = clock.Now\nvar _ = clock.Second",
			"internal/api/sts/a.go": "// Package sts is a case.\npackage sts\nimport \"os\"\nvar _, _ = os.LookupEnv(\"X\")\nvar _ = os.Stdout",
		},
		want: []string{
			"internal/api/sts mentions os.LookupEnv", "internal/api/sts mentions os.Stdout", "internal/core/gc mentions time.Now",
		},
	},
	"too large": {
		files: map[string]string{
			"internal/core/oci/a.go": "// Package oci is a case.\npackage oci\ntype I interface { error; A(); B() }\ntype J interface { I; C() }\nfunc F() {\n\n\n\n}",
			"internal/core/oci/b.go": "package oci\n\n\n\n\n\n\n\n\n\n\n\n",
			"internal/core/oci/c.go": "// Code generated by hand. DO NOT EDIT.\n\npackage oci\n\n\n\n\n\n\n\n\n\n\n\n",
		},
		want: []string{
			"internal/core/oci: I is too large", "internal/core/oci: F is too large", "internal/core/oci: b.go is too large",
		},
	},
}
