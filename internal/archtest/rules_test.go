package archtest_test

// module is what the import paths of ours begin with.
const module = "github.com/leat-dev/leat"

// anything stands for every package of ours that a program may contain: all but
// the free ones.
const anything = "*"

// imports says which packages of ours a package may import outside of its tests.
// A name stands for the package and for all below it that have no line of their
// own; /* stands for any one name. Packages of one line may import each other, and
// any package may import telemetry. A package without a line fails the test: give
// it one, as narrow as it can be.
var imports = map[string][]string{
	// The core knows nobody.
	"jobs":           {},
	"jobs/sniff":     {},
	"jobs/input":     {},
	"jobs/imageinfo": {"jobs/input"},
	"jobs/spec":      {"jobs"},
	"jobs/*":         {"jobs", "jobs/sniff", "jobs/charset", "jobs/input", "jobs/imageinfo", "jobs/zipdir", "jobs/spec", "blob"}, // a handler each
	"access":         {},
	"scale":          {},
	"blob":           {},
	"config":         {"jobs/spec"}, // what can be declared of kinds
	"telemetry":      {},
	"api/wire":       {},
	"jobs/zipdir":    {},
	"jobs/charset":   {"jobs/sniff"},

	// Contracts and the parts that drivers share.
	"store":       {"jobs", "access"},
	"store/group": {"jobs", "store"},

	// Drivers know their contract.
	"store/postgres":          {"jobs", "access", "store", "store/group"},
	"store/sqlite":            {"jobs", "access", "store", "store/group"},
	"store/storetest":         {"jobs", "access", "store"},
	"store/sqlite/sqlitetest": {"store/sqlite"},
	"blob/fsblob":             {"blob"},
	"blob/fsblob/faultfs":     {"blob", "blob/fsblob"},
	"blob/s3blob":             {"blob"},
	"blob/blobtest":           {"blob"},
	"queue":                   {"jobs"},
	"queue/embedded":          {"jobs", "queue"},
	"scale/kube":              {"scale"},
	"scale/local":             {"scale"},
	"scale/simulate":          {"scale"},
	"scale/plan":              {},

	// Services know contracts, and no driver.
	"dispatch":       {"jobs", "store", "queue", "blob"},
	"worker/isolate": {"jobs"},
	"worker":         {"jobs", "jobs/sniff", "store", "queue", "blob"},
	"scale/loop":     {"scale", "store"},
	"api/tus":        {"jobs", "blob", "store"},
	"api":            {"api/tus", "jobs", "jobs/sniff", "jobs/spec", "access", "blob", "store", "api/wire"},
	"dashboard":      {"store", "api/wire"},
	"client":         {"api/wire"},

	// Only app knows everything.
	"app":   {anything},
	"cmd/*": {"app"},
}

// free packages may import all of ours and every library. None of ours imports
// them outside of tests.
var free = []string{"integration", "bench", "examples", "internal/testserver", "internal/archtest", "internal/gendocs"}

// suites are for tests: those that every driver of a contract runs, and what gives others a store.
var suites = []string{"store/storetest", "store/sqlite/sqlitetest", "blob/blobtest", "jobs/jobtest"}

// libraries says which packages alone may import a library outside of tests.
var libraries = map[string][]string{
	"github.com/hibiken/asynq":          {"queue"},
	"github.com/redis/go-redis":         {"queue"},
	"github.com/alicebob/miniredis":     {"queue/embedded"},
	"github.com/jackc/pgx":              {"store/postgres"},
	"modernc.org/sqlite":                {"store/sqlite"},
	"k8s.io":                            {"scale/kube"},
	"github.com/danielgtaylor/huma":     {"api"},
	"github.com/dunglas/httpsfv":        {"api"},
	"github.com/maypok86/otter":         {"api"},
	"github.com/tus/tusd":               {"api/tus"},
	"github.com/go-redis/redis_rate":    {"queue"},
	"github.com/tmaxmax/go-sse":         {"client"},
	"github.com/spf13/cobra":            {"app"},
	"gonum.org/v1/plot":                 {"scale/simulate"},
	"golang.org/x/image":                {"jobs/image"},
	"github.com/HugoSmits86":            {"jobs/image"},
	"github.com/bep/imagemeta":          {},
	"github.com/ulikunitz/xz":           {"jobs/archive"},
	"github.com/mikelolasagasti/xz":     {"jobs/archive", "jobs/inspect"},
	"github.com/klauspost/compress":     {"jobs/archive", "jobs/inspect", "jobs/table"},
	"github.com/testcontainers":         {},
	"github.com/Shopify/toxiproxy":      {},
	"github.com/stretchr/testify":       {},
	"testing":                           suites,
	"github.com/google/go-cmp":          suites,
	"pgregory.net/rapid":                suites,
	"go.uber.org/goleak":                suites,
	"github.com/klippa-app/go-pdfium":   {"jobs/document"},
	"github.com/tetratelabs/wazero":     {"jobs/document"},
	"golang.org/x/net/html":             {"jobs/document"},
	"github.com/parquet-go":             {"jobs/table"},
	"github.com/apache/datasketches-go": {"jobs/table"},
}

// decoders parse what users upload, which the api only stores.
var decoders = []string{
	"image/gif", "image/jpeg", "image/png", "golang.org/x/image", "github.com/bep/imagemeta", "github.com/HugoSmits86",
	"archive/tar", "github.com/mholt/archives", "github.com/ulikunitz/xz", "github.com/mikelolasagasti/xz", "github.com/wlynxg/chardet",
	"github.com/parquet-go/parquet-go", "github.com/apache/datasketches-go", "github.com/klippa-app/go-pdfium",
	"github.com/tetratelabs/wazero", "golang.org/x/net/html",
	module + "/jobs/*",
}

// programs says what a program must not contain, through whatever package.
var programs = map[string][]string{
	"cmd/api":    append([]string{"modernc.org/sqlite", "github.com/alicebob/miniredis", "k8s.io", "gonum.org", "testing"}, decoders...),
	"cmd/worker": {"modernc.org/sqlite", "github.com/alicebob/miniredis", "k8s.io", "gonum.org", "testing"},
	"cmd/scaler": {"modernc.org/sqlite", "github.com/alicebob/miniredis", "gonum.org", "testing"},
	"cmd/leat":   {"testing"},
}
