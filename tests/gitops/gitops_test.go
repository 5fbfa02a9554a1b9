// Package gitops holds what Argo CD, Flux and `helm --wait` make of each whole resource that the operator reports:
// Argo CD by the Lua of deploy/argocd in the interpreter that it uses itself, the others by the kstatus library.
package gitops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const (
	snapshots = "../../src/report/tests/snapshots"
	scripts   = "../../deploy/argocd/FlagsmithDeployment"
)

// What is expected of each snapshot: of Argo CD, and of kstatus.
var expected = map[string][2]string{
	"ready":                  {"Healthy", "Current"},
	"first_install":          {"Progressing", "InProgress"},
	"migrating":              {"Progressing", "InProgress"},
	"migration_failed":       {"Degraded", "Failed"},
	"rolling_out":            {"Progressing", "InProgress"},
	"crash_looping":          {"Progressing", "InProgress"},
	"database_starting":      {"Progressing", "InProgress"},
	"database_unsupported":   {"Degraded", "Failed"},
	"tasks_pile_up":          {"Healthy", "Current"},
	"suspended":              {"Suspended", "InProgress"},
	"observed":               {"Healthy", "Current"},
	"observed_crash_looping": {"Progressing", "InProgress"},
}

func TestEverySnapshot(t *testing.T) {
	files, err := filepath.Glob(snapshots + "/*.snap")
	if err != nil || len(files) != len(expected) {
		t.Fatalf("%d snapshots, %d expectations, %v", len(files), len(expected), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".snap")
		t.Run(name, func(t *testing.T) {
			resource := read(t, file)
			want, known := expected[name]
			if !known {
				t.Fatal("nothing is expected of this snapshot")
			}
			health, message := argo(t, resource)
			if health != want[0] || message == "" {
				t.Errorf("Argo CD: %s (%s), want %s", health, message, want[0])
			}
			result, err := status.Compute(&unstructured.Unstructured{Object: resource})
			if err != nil || result.Status.String() != want[1] {
				t.Errorf("kstatus: %v, %v, want %s", result, err, want[1])
			}
		})
	}
}

// A status of an older generation says nothing, whatever it says.
func TestAnOlderStatus(t *testing.T) {
	resource := read(t, snapshots+"/ready.snap")
	resource["metadata"].(map[string]any)["generation"] = int64(2)
	if health, _ := argo(t, resource); health != "Progressing" {
		t.Errorf("Argo CD: %s", health)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: resource})
	if err != nil || result.Status != status.InProgressStatus {
		t.Errorf("kstatus: %v, %v", result, err)
	}
	delete(resource, "status")
	if health, _ := argo(t, resource); health != "Progressing" {
		t.Errorf("Argo CD, without a status: %s", health)
	}
}

// A new resource, which no operator has looked at: the CRD gives it a status, without which it would count as done.
func TestANewResource(t *testing.T) {
	text, err := os.ReadFile("../../crds/flagsmithdeployments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	given, found, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "status", "default")
	if err != nil || !found {
		t.Fatalf("no default of the status: %v", err)
	}
	resource := read(t, snapshots+"/ready.snap")
	resource["status"] = given
	if health, _ := argo(t, resource); health != "Progressing" {
		t.Errorf("Argo CD: %s", health)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: resource})
	if err != nil || result.Status != status.InProgressStatus {
		t.Errorf("kstatus: %v, %v", result, err)
	}
}

func TestActions(t *testing.T) {
	ready := read(t, snapshots+"/ready.snap")
	failed := read(t, snapshots+"/migration_failed.snap")
	suspended := read(t, snapshots+"/suspended.snap")
	for _, it := range []struct {
		resource map[string]any
		offered  string
	}{{ready, "suspend"}, {failed, "retry-migration suspend"}, {suspended, "resume"}} {
		found := run(t, "actions/discovery.lua", it.resource).(map[string]any)
		var offered []string
		for _, action := range []string{"resume", "retry-migration", "suspend"} {
			if !found[action].(map[string]any)["disabled"].(bool) {
				offered = append(offered, action)
			}
		}
		if strings.Join(offered, " ") != it.offered {
			t.Errorf("offered: %v, want %s", offered, it.offered)
		}
	}
	get := func(resource any, fields ...string) any {
		value, _, _ := unstructured.NestedFieldNoCopy(resource.(map[string]any), fields...)
		return value
	}
	if got := get(run(t, "actions/suspend/action.lua", ready), "spec", "suspend"); got != true {
		t.Errorf("suspend: %v", got)
	}
	if got := get(run(t, "actions/resume/action.lua", suspended), "spec", "suspend"); got != nil {
		t.Errorf("resume: %v", got)
	}
	retried := run(t, "actions/retry-migration/action.lua", failed)
	if got, _ := get(retried, "metadata", "annotations", "operator.flagsmith.com/retry-migration").(string); len(got) != 20 {
		t.Errorf("retry-migration: %q", got)
	}
}

// read returns the JSON below the head of a snapshot.
func read(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(string(text), "---\n", 3)
	var resource map[string]any
	if err := json.Unmarshal([]byte(parts[len(parts)-1]), &resource); err != nil {
		t.Fatal(err)
	}
	if generation, ok := resource["metadata"].(map[string]any)["generation"].(float64); ok {
		resource["metadata"].(map[string]any)["generation"] = int64(generation)
	}
	if status, ok := resource["status"].(map[string]any); ok {
		if generation, ok := status["observedGeneration"].(float64); ok {
			status["observedGeneration"] = int64(generation)
		}
	}
	return resource
}

func argo(t *testing.T, resource map[string]any) (string, string) {
	t.Helper()
	health := run(t, "health.lua", resource).(map[string]any)
	message, _ := health["message"].(string)
	return health["status"].(string), message
}

// run executes a script as Argo CD does: the resource is the global obj, and of the libraries there are the basic ones,
// tables, strings and os.
func run(t *testing.T, script string, resource map[string]any) any {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// In this order: what is opened before the package library is not found by require.
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
		{lua.StringLibName, lua.OpenString}, {lua.OsLibName, lua.OpenOs},
	} {
		state.Push(state.NewFunction(library.open))
		state.Push(lua.LString(library.name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, resource))
	if err := state.DoFile(filepath.Join(scripts, script)); err != nil {
		t.Fatal(err)
	}
	return fromLua(state.Get(-1))
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	default:
		return lua.LNil
	}
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case *lua.LTable:
		if value.Len() > 0 {
			var list []any
			value.ForEach(func(_, item lua.LValue) { list = append(list, fromLua(item)) })
			return list
		}
		object := map[string]any{}
		value.ForEach(func(key, item lua.LValue) { object[key.String()] = fromLua(item) })
		return object
	case lua.LString:
		return string(value)
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	default:
		return nil
	}
}
