// What the package has of kv.h: all, but for what is named here; and every name is documented.

package kv

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Functions of kv.h that the package does not call, and why.
var leftOut = map[string]string{
	"kv_backup":        "kv_backup_with() does the same, and ends with its context",
	"kv_batch_put":     "kv_batch_put_ttl() does the same",
	"kv_compact":       "kv_compact_with() does the same, and ends with its context",
	"kv_restore":       "kv_restore_with() does the same, and ends with its context",
	"kv_salvage":       "kv_salvage_with() does the same, and ends with its context",
	"kv_verify":        "kv_verify_with() does the same, and ends with its context",
	"kv_options_get":   "options are given to Open and not kept",
	"kv_options_set_*": "With sets all of them by name",
}

func read(t *testing.T, names ...string) (all string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(name)
		ok(t, err)
		all += string(text)
	}
	return all
}

func sources(t *testing.T) string {
	return read(t, "calls.h", "keep.h", "status.go", "db.go", "read.go", "scan.go", "keep.go")
}

func TestEveryFunctionIsCalledOrLeftOut(t *testing.T) {
	called := map[string]bool{}
	call := regexp.MustCompile(`\b(kv_[a-z_]+)\(`)
	for _, match := range call.FindAllStringSubmatch(sources(t), -1) {
		called[match[1]] = true
	}
	used := map[string]bool{}
	for _, name := range strings.Fields(read(t, "../../tests/exports.txt")) {
		_, left := leftOut[name]
		if left {
			used[name] = true
		} else if strings.HasPrefix(name, "kv_options_set_") {
			left = !called[name]
			used["kv_options_set_*"] = true
		}
		if called[name] == left {
			t.Errorf("%s: called %v, left out %v", name, called[name], left)
		}
	}
	for name := range leftOut {
		if !used[name] {
			t.Errorf("%s is left out, and is no function", name)
		}
	}
}

// header finds in kv.h what the first group of an expression matches.
func header(t *testing.T, expression string) (found []string) {
	t.Helper()
	text := read(t, "../../include/kv.h")
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Fatal(expression, "finds nothing")
	}
	return found
}

func TestEveryStatusEventAndClassHasAName(t *testing.T) {
	names := read(t, "status.go", "told.go", "write.go")
	// The statuses come last of all constants.
	for _, constant := range header(t, `#define (KV_(?:EVENT|CLASS|LOG|WRITE_SYNC)_\w+) `) {
		if !regexp.MustCompile(`\bC\.` + constant + `\b`).MatchString(names) {
			t.Error(constant)
		}
	}
	text := read(t, "../../include/kv.h")
	statuses := text[strings.Index(text, "#define KV_OK 0"):]
	define := regexp.MustCompile(`#define (KV_\w+) -?[0-9]+`)
	for _, match := range define.FindAllStringSubmatch(statuses, -1) {
		if match[1] == "KV_OK" || match[1] == "KV_BUFFER_TOO_SMALL" { // AppendTo makes it larger.
			continue
		}
		if !strings.Contains(names, "error = &Error{Status: C."+match[1]+"}") {
			t.Error(match[1])
		}
	}
}

func TestEveryFigureIsThere(t *testing.T) {
	figures := read(t, "figures.go", "write.go", "told.go", "keep.go")
	for name, goType := range map[string]reflect.Type{
		"kv_stats_t":         reflect.TypeOf(Stats{}),
		"kv_latency_t":       reflect.TypeOf(Latency{}),
		"kv_option_info_t":   reflect.TypeOf(OptionInfo{}),
		"kv_write_options_t": nil, // Sync and NoSync are one member of it.
		"kv_event_t":         reflect.TypeOf(Event{}),
		"kv_progress_t":      reflect.TypeOf(Progress{}),
	} {
		body := header(t, `(?s)typedef struct `+name+` \{(.*?)\n\} `+name)[0]
		members := regexp.MustCompile(`\n    [a-z][\w ]*[ *](\w+);`).FindAllStringSubmatch(body, -1)
		for _, member := range members[1:] { // Its size.
			if !regexp.MustCompile(`\._?` + member[1] + `\b|\t` + member[1] + `:`).MatchString(figures) {
				t.Errorf("%s.%s", name, member[1])
			}
		}
		if goType != nil && goType.NumField() != len(members)-1 {
			t.Errorf("%s has %d fields, not %d", goType, goType.NumField(), len(members)-1)
		}
	}
}

func TestEveryNameIsDocumented(t *testing.T) {
	packages, err := parser.ParseDir(token.NewFileSet(), ".", nil, parser.ParseComments)
	ok(t, err)
	parsed := packages["kv"]
	ast.PackageExports(parsed)
	documented := doc.New(parsed, "kv", 0)
	if documented.Doc == "" {
		t.Error("the package")
	}
	functions := documented.Funcs
	values := append(documented.Consts, documented.Vars...)
	for _, each := range documented.Types {
		if each.Doc == "" {
			t.Error(each.Name)
		}
		functions = append(append(functions, each.Funcs...), each.Methods...)
		values = append(append(values, each.Consts...), each.Vars...)
	}
	for _, function := range functions {
		if function.Doc == "" && !strings.HasPrefix(function.Name, "Test") &&
			!strings.HasPrefix(function.Name, "Benchmark") {
			t.Error(function.Recv, function.Name)
		}
	}
	for _, value := range values {
		if value.Doc == "" {
			t.Error(value.Names)
		}
	}
}

// Each line of Go in the README is one of the examples.
func TestTheReadmeShowsWhatIsRun(t *testing.T) {
	examples := read(t, "example_test.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("no blocks")
	}
	for _, block := range blocks {
		indented := regexp.MustCompile("(?m)^(.)").ReplaceAllString(block[1], "\t$1")
		if !strings.Contains(examples, indented) {
			t.Error(block[1])
		}
	}
}
