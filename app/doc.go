// Package app is what the programs are made of: it reads the command line, opens what a program
// works with, starts its services, and stops them again in order.
//
// It comes in parts, so that each program links only what it needs:
//
//   - app itself: lifecycle, resources, the admin server, and the duties of dispatch;
//   - app/production opens Postgres, Redis and a folder or object store for blobs;
//   - app/embedded opens SQLite, an in-process Redis and a data folder;
//   - app/apirole and app/workerrole make the services of the two roles;
//   - app/cli is the operator's command line.
//
// These packages may import everything else of Leat; nothing but the programs imports them.
package app
