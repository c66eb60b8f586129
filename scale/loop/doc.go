// Package loop sizes a fleet: it observes the work and the fleet, asks package scale for a
// decision, carries it out and records it, again and again. What is shrunk is emptied first, so
// that no running job is interrupted.
//
// It may import scale and store.
package loop
