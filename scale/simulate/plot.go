package simulate

import (
	"errors"
	"fmt"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Format is of a picture.
type Format string

// The formats.
const (
	SVG Format = "svg"
	PNG Format = "png"
)

// Plot draws backlog, replicas and waits of runs of the same load over time, below each other. The
// runs must have a series.
func Plot(w io.Writer, f Format, runs []*Result) error {
	panels, err := panels(runs)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	const width, height = 24 * vg.Centimeter, 27 * vg.Centimeter
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch f {
	case SVG:
		canvas = vgsvg.New(width, height)
	case PNG:
		canvas = vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
	default:
		return fmt.Errorf("plot: %q is neither svg nor png", f)
	}
	grid := make([][]*plot.Plot, len(panels))
	for i, p := range panels {
		grid[i] = []*plot.Plot{p}
	}
	tiles := draw.Tiles{Rows: len(grid), Cols: 1, PadY: 3 * vg.Millimeter}
	for i, row := range plot.Align(grid, tiles, draw.New(canvas)) {
		panels[i].Draw(row[0])
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

func panels(runs []*Result) ([]*plot.Plot, error) {
	if len(runs) == 0 || len(runs[0].Series) == 0 {
		return nil, errors.New("nothing to draw")
	}
	unit, scale := "minutes", 60.0
	if last := runs[0].Series[len(runs[0].Series)-1].At; last > 12*3600 {
		unit, scale = "hours", 3600
	}
	var list []*plot.Plot
	for _, panel := range []struct {
		label string
		value func(Point) float64
		step  plotter.StepKind
	}{
		{"jobs waiting", func(p Point) float64 { return float64(p.Waiting) }, plotter.NoStep},
		{"replicas", func(p Point) float64 { return float64(p.Replicas) }, plotter.PreStep},
		{"longest wait, seconds", func(p Point) float64 { return p.Wait }, plotter.NoStep},
	} {
		p := plot.New()
		p.Y.Label.Text, p.Y.Min = panel.label, 0
		p.Add(plotter.NewGrid())
		for i, r := range runs {
			points := make(plotter.XYs, len(r.Series))
			for k, at := range r.Series {
				points[k] = plotter.XY{X: at.At / scale, Y: panel.value(at)}
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.StepStyle = plotutil.Color(i), panel.step
			p.Add(line)
			if len(list) == 0 {
				p.Legend.Add(r.Scaler, line)
			}
		}
		list = append(list, p)
	}
	list[0].Title.Text, list[0].Legend.Top = runs[0].Load, true
	list[len(list)-1].X.Label.Text = unit
	return list, nil
}
