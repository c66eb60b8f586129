package api

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the API does. The series of every route are made beforehand, so that a
// request looks up a pattern and no labels.
type metrics struct {
	routes   map[string]*routeMetrics // by the mux's pattern; "" for what no route took
	received prometheus.Counter
	accepted prometheus.Counter
	inFlight prometheus.Gauge
	// unlimited counts what could not be held to a tenant's limits.
	unlimited prometheus.Counter
	streams   prometheus.Gauge
}

type routeMetrics struct {
	requests [6]prometheus.Counter // by class of status, 1 to 5
	duration prometheus.Observer
}

// Durations are those of uploads too, hence the long tail.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}

func newMetrics(reg prometheus.Registerer, routes []route) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leat_http_requests_total",
		Help: "Requests answered, by route, method and class of status.",
	}, []string{"route", "method", "status"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "leat_http_request_duration_seconds",
		Help:    "Time from a request's header to the end of its answer.",
		Buckets: durationBuckets,
	}, []string{"route", "method"})
	m := &metrics{
		routes: make(map[string]*routeMetrics, len(routes)+1),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leat_http_received_bytes_total",
			Help: "Bytes of request bodies read.",
		}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leat_uploads_accepted_total",
			Help: "Files accepted, each with its job.",
		}),
		unlimited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leat_limits_unenforced_total",
			Help: "Times that a tenant's limit was not enforced, because Redis could not be asked.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "leat_uploads_in_flight",
			Help: "Uploads that are being received or committed.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "leat_event_streams",
			Help: "Streams of events that are open.",
		}),
	}
	add := func(pattern, path, method string) {
		rm := &routeMetrics{duration: durations.WithLabelValues(path, method)}
		for class := 1; class < len(rm.requests); class++ {
			rm.requests[class] = requests.WithLabelValues(path, method, fmt.Sprintf("%dxx", class))
		}
		m.routes[pattern] = rm
	}
	for _, rt := range routes {
		add(rt.pattern(), rt.Path, rt.Method)
	}
	add("", "none", "any")
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{requests, durations, m.received, m.accepted, m.inFlight, m.unlimited, m.streams} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("api: register metrics: %w", err)
		}
	}
	return m, nil
}

// answered counts one request.
func (m *metrics) answered(pattern string, status int, took time.Duration) {
	rm, ok := m.routes[pattern]
	if !ok {
		rm = m.routes[""]
	}
	rm.requests[min(max(status/100, 1), 5)].Inc()
	rm.duration.Observe(took.Seconds())
}
