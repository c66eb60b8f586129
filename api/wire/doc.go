// Package wire holds the JSON that Leat's HTTP API speaks, as Go types: what the API writes and its
// client reads. The tags say everything that the API's documentation says of a field.
//
// A field that is not known is absent. Times are RFC 3339 in UTC; identifiers are UUIDs.
//
// It imports nothing of Leat.
package wire
