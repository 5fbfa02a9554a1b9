// Package dashboards holds the chart's dashboards to the schema of Grafana's own: every panel and every query is read
// strictly by the types that Grafana generates of it.
package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const folder = "../../../charts/flagsmith-operator/files/dashboards"

func TestEveryDashboardIsOfGrafanasSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var strictly, read dashboard.Dashboard
			// It takes an empty list of errors for one, and leaves out what it says that of.
			if err := strictly.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
				t.Error(err)
			}
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			if err := read.Validate(); err != nil && err.Error() != "" {
				t.Error(err)
			}
			if len(read.Panels) < 10 {
				t.Fatalf("%d panels", len(read.Panels))
			}
			overlaps(t, read)
		})
	}
}

// overlaps fails where two panels lie on one place of the grid, or beyond its 24 columns.
func overlaps(t *testing.T, read dashboard.Dashboard) {
	taken := map[[2]uint32]string{}
	for _, it := range read.Panels {
		title, at := "", (*dashboard.GridPos)(nil)
		switch {
		case it.Panel != nil:
			title, at = *it.Panel.Title, it.Panel.GridPos
		case it.RowPanel != nil:
			title, at = *it.RowPanel.Title, it.RowPanel.GridPos
		}
		if at == nil || at.X+at.W > 24 {
			t.Fatalf("%s: %v", title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, is := taken[[2]uint32{x, y}]; is {
					t.Fatalf("%s lies on %s", title, other)
				}
				taken[[2]uint32{x, y}] = title
			}
		}
	}
}
