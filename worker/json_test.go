package worker_test

import (
	"encoding/json"
	"reflect"
)

// sameJSON compares two texts as JSON values.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
