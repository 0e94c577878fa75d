package formats

import (
	"bytes"
	"context"
	"path"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// readPOM reads the coordinates that Maven writes into META-INF/maven/GROUP/ARTIFACT/pom.properties: a package without a name where
// they are not all there.
func readPOM(ctx context.Context, content []byte) (inventory.Package, error) {
	values := map[string]string{}
	err := eachLine(ctx, bytes.NewReader(content), func(line []byte) bool {
		name, value, ok := strings.Cut(string(line), "=")
		if name = strings.TrimSpace(name); ok && (name == "groupId" || name == "artifactId" || name == "version") {
			values[name] = strings.TrimSpace(value)
		}
		return true
	})
	if !isMavenID(values["groupId"]) || !isMavenID(values["artifactId"]) || values["version"] == "" || strings.Contains(values["version"], " ") {
		return inventory.Package{}, err
	}
	return artifact(values["groupId"], values["artifactId"], values["version"]), err
}

func artifact(group, name, version string) inventory.Package {
	return inventory.Package{Type: inventory.Maven, Name: group + ":" + name, Version: version}
}

// manifestNames are the attributes that tell something of an archive.
var manifestNames = map[string]bool{
	"implementation-title": true, "implementation-version": true, "implementation-vendor-id": true,
	"specification-version": true, "bundle-symbolicname": true, "bundle-version": true,
}

// readManifest reads the main section of a manifest (JAR File Specification): lines of name and value, which go on in lines that begin
// with a space. Names are in lower case.
func readManifest(ctx context.Context, content []byte) (map[string]string, error) {
	values, last := map[string]string{}, ""
	return values, eachLine(ctx, bytes.NewReader(content), func(line []byte) bool {
		if len(line) == 0 {
			return len(values) == 0
		}
		if more, ok := bytes.CutPrefix(line, []byte(" ")); ok {
			if last != "" && len(values[last]) < 2*inventory.MaxName {
				values[last] += string(more)
			}
			return true
		}
		name, value := field(line)
		if last = ""; manifestNames[name] {
			last = name
			values[name] = value
		}
		return true
	})
}

// javaFile is how archives are called: an artifact, a version that begins with a digit (or with "rc" or "build" and one).
var javaFile = regexp.MustCompile(`^(.+?)[-_]((?:rc?|build)?[0-9].*)$`)

// guessArtifact tells by its file's name and its manifest what an archive is. The group is the part that neither need tell. Where
// nothing does it is the artifact's own name, as that of old artifacts is.
func guessArtifact(file string, manifest map[string]string) inventory.Package {
	stem := strings.TrimSuffix(file, path.Ext(file))
	name, version := stem, ""
	if m := javaFile.FindStringSubmatch(stem); m != nil {
		name, version = m[1], m[2]
	} else {
		for _, attribute := range []string{"implementation-version", "bundle-version", "specification-version"} {
			if version, _, _ = strings.Cut(manifest[attribute], " "); version != "" {
				break
			}
		}
		if title := manifest["implementation-title"]; isMavenID(title) {
			name = title
		}
	}
	if renamed, ok := javaRenamed[name]; ok && strings.Contains(manifest["implementation-title"], "Tomcat") {
		name = renamed
	}
	if !isMavenID(name) || version == "" {
		return inventory.Package{}
	}
	return artifact(guessGroup(name, manifest), name, version)
}

// javaGroups are groups of well known artifacts that are not built with Maven, and say nothing of their group.
var javaGroups = []struct {
	artifacts *regexp.Regexp
	group     string
}{
	{regexp.MustCompile(`^spring-(aop|aspects|beans|context|context-indexer|context-support|core|core-test|expression|instrument|jcl|jdbc|jms|messaging|orm|oxm|r2dbc|test|tx|web|webflux|webmvc|webmvc-portlet|webmvc-struts|websocket)$`), "org.springframework"},
	{regexp.MustCompile(`^spring-boot(-.+)?$`), "org.springframework.boot"},
	{regexp.MustCompile(`^spring-security-.+$`), "org.springframework.security"},
	{regexp.MustCompile(`^tomcat-embed-.+$`), "org.apache.tomcat.embed"},
	{regexp.MustCompile(`^tomcat-.+$`), "org.apache.tomcat"},
	{regexp.MustCompile(`^kotlin-.+$`), "org.jetbrains.kotlin"},
	{regexp.MustCompile(`^okhttp(-.+)?$`), "com.squareup.okhttp3"},
	{regexp.MustCompile(`^okio(-.+)?$`), "com.squareup.okio"},
	{regexp.MustCompile(`^elasticsearch(-.+)?$`), "org.elasticsearch"},
	{regexp.MustCompile(`^axis$`), "org.apache.axis"},
}

// javaRenamed are files whose name is not their artifact's: Tomcat's own.
var javaRenamed = map[string]string{"catalina": "tomcat-catalina", "jasper": "tomcat-jasper"}

func guessGroup(name string, manifest map[string]string) string {
	for _, known := range javaGroups {
		if known.artifacts.MatchString(name) {
			return known.group
		}
	}
	// Maven writes the group here, others a vendor.
	if vendor := manifest["implementation-vendor-id"]; isMavenID(vendor) && strings.Contains(vendor, ".") {
		return vendor
	}
	symbolic, _, _ := strings.Cut(manifest["bundle-symbolicname"], ";")
	if group, ok := strings.CutSuffix(strings.TrimSpace(symbolic), "."+name); ok && isMavenID(group) {
		return group
	}
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		return strings.ToLower(name[:dot])
	}
	return name
}

var mavenID = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// isMavenID tells whether s may be a group or an artifact, and is no placeholder like ${name} or %name.
func isMavenID(s string) bool { return mavenID.MatchString(s) }
