package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/filestore"
	tusd "github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog" // the one that tusd takes

	"github.com/leat-dev/leat/api"
	"github.com/leat-dev/leat/store"
)

// sameMax is the largest file of both servers that are compared, in bytes.
const sameMax = 100

const (
	octets   = "Content-Type: application/offset+octet-stream"
	partial  = "Content-Type: application/partial-upload"
	deferred = "Upload-Defer-Length: 1"
	asPart   = "Upload-Concat: partial"
)

// step is one request. In its path, its headers and its body {a} stands for the ID of the upload that
// was begun as a, and {host} for the server's.
type step struct {
	name, method, path string
	headers            []string
	body               string
	form               int    // how the body is sent: sized, inChunks or broken
	upload             string // that it begins
}

const (
	sized = iota
	inChunks
	broken // it ends ten bytes before it should
)

// plain is a request as it is given.
func plain(name, method, path string, headers ...string) step {
	return step{name: name, method: method, path: path, headers: headers}
}

// v1 is a request of tus 1.0.
func v1(name, method, path string, headers ...string) step {
	return plain(name, method, path, append([]string{tusVersion}, headers...)...)
}

// draft is one of the IETF's drafts.
func draft(version, name, method, path string, headers ...string) step {
	return plain(name, method, path, append([]string{"Upload-Draft-Interop-Version: " + version}, headers...)...)
}

// begun begins an upload, and asks where it stands.
func begun(name string, headers ...string) []step {
	return []step{v1("begin "+name, "POST", "/tus/", headers...).as(name), v1("look at "+name, "HEAD", "/tus/{"+name+"}")}
}

// added adds to an upload, and asks where it stands.
func added(name, upload string, offset int, body string, headers ...string) []step {
	return []step{
		v1(name, "PATCH", "/tus/{"+upload+"}", append([]string{octets, "Upload-Offset: " + strconv.Itoa(offset)}, headers...)...).with(body),
		v1(name+", then look", "HEAD", "/tus/{"+upload+"}"),
	}
}

func (s step) with(body string) step { s.body = body; return s }
func (s step) sent(form int) step    { s.form = form; return s }
func (s step) as(upload string) step { s.upload = upload; return s }

// sequences are what is asked of both servers, each by itself. Names of steps are unique in theirs.
func sequences() map[string][]step {
	all := map[string][]step{
		"lengths": {
			v1("none", "POST", "/tus/"),
			plain("no version", "POST", "/tus/", length(1)),
			plain("version 0.2", "POST", "/tus/", "Tus-Resumable: 0.2.2", length(1)),
			plain("version list", "POST", "/tus/", "Tus-Resumable: 1.0.0, 0.2.2", length(1)),
		},
		"creation with upload": slices.Concat(
			[]step{
				v1("whole", "POST", "/tus/", octets, length(5)).with("hello").as("whole"),
				v1("look at whole", "HEAD", "/tus/{whole}"),
				v1("begun", "POST", "/tus/", octets, length(5)).with("hel").as("begun"),
				v1("look at begun", "HEAD", "/tus/{begun}"),
				v1("in chunks", "POST", "/tus/", octets, length(5)).with("hello").sent(inChunks).as("chunks"),
				v1("look at chunks", "HEAD", "/tus/{chunks}"),
				v1("no body", "POST", "/tus/", octets, length(5)).as("none"),
				v1("look at none", "HEAD", "/tus/{none}"),
				v1("of no length", "POST", "/tus/", octets, length(0)).as("empty"),
				v1("look at empty", "HEAD", "/tus/{empty}"),
				v1("too long", "POST", "/tus/", octets, length(5)).with("hello!"),
				v1("too long, in chunks", "POST", "/tus/", octets, length(5)).with("hello!").sent(inChunks),
				v1("other type", "POST", "/tus/", "Content-Type: text/plain", length(5)).with("hello").as("other"),
				v1("look at other", "HEAD", "/tus/{other}"),
				v1("type with a parameter", "POST", "/tus/", octets+"; charset=x", length(5)).with("hello").as("parameter"),
				v1("look at parameter", "HEAD", "/tus/{parameter}"),
				v1("deferred", "POST", "/tus/", octets, deferred).with("hel").as("late"),
				v1("look at late", "HEAD", "/tus/{late}"),
				v1("deferred, too large", "POST", "/tus/", octets, deferred).with(strings.Repeat("x", sameMax+1)),
				v1("deferred, too large, in chunks", "POST", "/tus/", octets, deferred).with(strings.Repeat("x", sameMax+1)).sent(inChunks),
				v1("a part", "POST", "/tus/", octets, asPart, length(3)).with("abc").as("part"),
				v1("look at part", "HEAD", "/tus/{part}"),
				v1("broken off", "POST", "/tus/", octets, length(15)).with("hello").sent(broken),
			},
			added("the rest", "begun", 3, "lo"),
		),
		"patch": slices.Concat(
			begun("a", length(30)),
			begun("c", length(2)),
			added("first", "a", 0, "01234"),
			added("nothing", "a", 5, ""),
			added("behind", "a", 6, "x"),
			added("before", "a", 4, "x"),
			added("negative", "a", -1, "x"),
			added("too long", "a", 5, strings.Repeat("x", 26)),
			added("with the length", "a", 5, "56789", length(30)),
			[]step{
				v1("no offset", "PATCH", "/tus/{a}", octets).with("x"),
				v1("an offset that is none", "PATCH", "/tus/{a}", octets, "Upload-Offset: five").with("x"),
				v1("an offset with a sign", "PATCH", "/tus/{a}", octets, "Upload-Offset: +5").with("5"),
				v1("no type", "PATCH", "/tus/{a}", "Upload-Offset: 6").with("x"),
				v1("other type", "PATCH", "/tus/{a}", "Upload-Offset: 6", "Content-Type: text/plain").with("x"),
				v1("type with a parameter", "PATCH", "/tus/{a}", "Upload-Offset: 6", octets+"; a=b").with("x"),
				v1("type in capitals", "PATCH", "/tus/{a}", "Upload-Offset: 6", strings.ToUpper(octets)).with("x"),
				plain("no version", "PATCH", "/tus/{a}", "Upload-Offset: 6", octets).with("x"),
				plain("other version", "PATCH", "/tus/{a}", "Tus-Resumable: 1.0", "Upload-Offset: 6", octets).with("x"),
				v1("in chunks", "PATCH", "/tus/{a}", octets, "Upload-Offset: 6").with("6789").sent(inChunks),
				v1("broken off", "PATCH", "/tus/{a}", octets, "Upload-Offset: 10").with("01").sent(broken),
				v1("look", "HEAD", "/tus/{a}"),
				v1("too long, in chunks", "PATCH", "/tus/{a}", octets, "Upload-Offset: 12").with(strings.Repeat("x", 19)).sent(inChunks),
				v1("look after it", "HEAD", "/tus/{a}"),
				v1("the slash behind", "PATCH", "/tus/{c}/", octets, "Upload-Offset: 0").with("0"),
				v1("unknown", "PATCH", "/tus/unknown", octets, "Upload-Offset: 0").with("x"),
				v1("unknown, of the kind", "PATCH", "/tus/00000000-0000-7000-8000-000000000000", octets, "Upload-Offset: 0").with("x"),
			},
			begun("b", length(5)),
			added("the end", "b", 0, "01234"),
			added("at the end", "b", 5, ""),
			added("behind the end", "b", 5, "x"),
			added("before the end", "b", 0, "x"),
		),
		"deferred length": slices.Concat(
			begun("a", deferred),
			added("unknown yet", "a", 0, "01234"),
			added("less than there is", "a", 5, "5", "Upload-Length: 4"),
			added("no length", "a", 5, "5", "Upload-Length: x"),
			added("negative", "a", 5, "5", "Upload-Length: -1"),
			added("too large", "a", 5, "5", length(sameMax+1)),
			added("more than is told", "a", 5, "56789", "Upload-Length: 8"),
			begun("told", deferred),
			added("told", "told", 0, "01234", "Upload-Length: 10"),
			added("told again", "told", 5, "5", "Upload-Length: 12"),
			added("told the same", "told", 5, "5", "Upload-Length: 10"),
			begun("ended", deferred),
			added("all of it", "ended", 0, "01234", "Upload-Length: 5"),
			begun("late", deferred),
			added("some of it", "late", 0, "01234"),
			added("only the length", "late", 5, "", "Upload-Length: 5"),
			begun("empty", deferred),
			added("that it is empty", "empty", 0, "", "Upload-Length: 0"),
			begun("large", deferred),
			added("too much at once", "large", 0, strings.Repeat("x", sameMax+1)),
			begun("larger", deferred),
			added("as much as can be", "larger", 0, strings.Repeat("x", sameMax)),
			added("one more", "larger", sameMax, "x"),
			begun("largest", deferred),
			[]step{
				v1("too much, in chunks", "PATCH", "/tus/{largest}", octets, "Upload-Offset: 0").with(strings.Repeat("x", sameMax+1)).sent(inChunks),
				v1("then look", "HEAD", "/tus/{largest}"),
			},
		),
		"head": slices.Concat(
			begun("a", length(5), metadata("filename", "a.txt", "filetype", "text/plain")),
			[]step{
				plain("no version", "HEAD", "/tus/{a}"),
				plain("other version", "HEAD", "/tus/{a}", "Tus-Resumable: 9"),
				v1("unknown", "HEAD", "/tus/unknown"),
				v1("the slash behind", "HEAD", "/tus/{a}/"),
				v1("below", "HEAD", "/tus/{a}/b"),
				v1("of all", "HEAD", "/tus/"),
			},
			begun("empty", length(0)),
		),
		"delete": slices.Concat(
			begun("a", length(5)),
			added("some", "a", 0, "01"),
			[]step{
				plain("no version", "DELETE", "/tus/{a}"),
				v1("it", "DELETE", "/tus/{a}"),
				v1("again", "DELETE", "/tus/{a}"),
				v1("look", "HEAD", "/tus/{a}"),
				v1("add", "PATCH", "/tus/{a}", octets, "Upload-Offset: 2").with("2"),
				v1("unknown", "DELETE", "/tus/unknown"),
				v1("all", "DELETE", "/tus/"),
				v1("below", "DELETE", "/tus/{a}/b"),
			},
			begun("b", length(1)),
			added("all of b", "b", 0, "x"),
			[]step{v1("a finished one", "DELETE", "/tus/{b}")},
		),
		"concatenation": slices.Concat(
			begun("a", asPart, length(3)),
			begun("b", asPart, length(3), metadata("filename", "b")),
			begun("none", asPart, length(0)),
			begun("deferred", asPart, deferred),
			added("part a", "a", 0, "abc"),
			added("half of b", "b", 0, "d"),
			[]step{
				v1("unfinished", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/{b}"),
				v1("of no known length", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/{deferred}"),
			},
			added("the rest of b", "b", 1, "ef"),
			added("behind b", "b", 3, "x"),
			[]step{
				v1("join", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/{b}", metadata("filename", "ab")).as("ab"),
				v1("look at ab", "HEAD", "/tus/{ab}"),
				v1("add to ab", "PATCH", "/tus/{ab}", octets, "Upload-Offset: 6").with("x"),
				v1("add nothing to ab", "PATCH", "/tus/{ab}", octets, "Upload-Offset: 6"),
				v1("join by URLs", "POST", "/tus/", "Upload-Concat: final;http://{host}/tus/{b} http://{host}/tus/{a}").as("ba"),
				v1("look at ba", "HEAD", "/tus/{ba}"),
				v1("another host", "POST", "/tus/", "Upload-Concat: final;https://files.example/tus/{a}"),
				v1("one twice", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/{a}").as("aa"),
				v1("look at aa", "HEAD", "/tus/{aa}"),
				v1("with spaces", "POST", "/tus/", "Upload-Concat: final; /tus/{a}  /tus/{b} "),
				v1("with an empty one", "POST", "/tus/", "Upload-Concat: final;/tus/{none} /tus/{a}"),
				v1("of nothing but empty", "POST", "/tus/", "Upload-Concat: final;/tus/{none}").as("nothing"),
				v1("look at nothing", "HEAD", "/tus/{nothing}"),
				v1("with a length", "POST", "/tus/", "Upload-Concat: final;/tus/{a}", length(3)),
				v1("with another length", "POST", "/tus/", "Upload-Concat: final;/tus/{a}", length(4)),
				v1("deferred", "POST", "/tus/", "Upload-Concat: final;/tus/{a}", deferred),
				v1("with a body", "POST", "/tus/", "Upload-Concat: final;/tus/{a}", octets).with("x"),
				v1("with a type and no body", "POST", "/tus/", "Upload-Concat: final;/tus/{a}", octets),
				v1("with an unknown one", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/unknown"),
				v1("elsewhere", "POST", "/tus/", "Upload-Concat: final;/elsewhere/{a}"),
				v1("an ID alone", "POST", "/tus/", "Upload-Concat: final;{a}"),
				v1("a finished file", "POST", "/tus/", "Upload-Concat: final;/tus/{ab}"),
				v1("nothing", "POST", "/tus/", "Upload-Concat: final"),
				v1("nothing behind the semicolon", "POST", "/tus/", "Upload-Concat: final;"),
				v1("spaces", "POST", "/tus/", "Upload-Concat: final;  x"),
				v1("nonsense", "POST", "/tus/", "Upload-Concat: whole", length(1)),
				v1("in capitals", "POST", "/tus/", "Upload-Concat: Partial", length(1)),
				v1("a part without a length", "POST", "/tus/", asPart),
				v1("too large", "POST", "/tus/", "Upload-Concat: final;"+strings.Repeat(" /tus/{a}", sameMax/3+1)),
				v1("delete ab", "DELETE", "/tus/{ab}"),
				v1("delete a", "DELETE", "/tus/{a}"),
				v1("join what is deleted", "POST", "/tus/", "Upload-Concat: final;/tus/{a} /tus/{b}"),
				v1("look at aa when a is gone", "HEAD", "/tus/{aa}"),
			},
		),
		"method override": slices.Concat(
			begun("a", length(5)),
			[]step{
				v1("PATCH", "POST", "/tus/{a}", "X-HTTP-Method-Override: PATCH", octets, "Upload-Offset: 0").with("01"),
				v1("PATCH of all", "POST", "/tus/", "X-HTTP-Method-Override: PATCH", octets, "Upload-Offset: 0").with("01"),
				v1("HEAD", "POST", "/tus/{a}", "X-HTTP-Method-Override: HEAD"),
				v1("GET", "POST", "/tus/{a}", "X-HTTP-Method-Override: GET"),
				v1("POST", "POST", "/tus/{a}", "X-HTTP-Method-Override: POST", length(1)),
				v1("POST of all", "POST", "/tus/", "X-HTTP-Method-Override: POST", length(1)),
				plain("OPTIONS", "POST", "/tus/", "X-HTTP-Method-Override: OPTIONS"),
				plain("OPTIONS of one", "POST", "/tus/{a}", "X-HTTP-Method-Override: OPTIONS"),
				v1("in small letters", "POST", "/tus/{a}", "X-HTTP-Method-Override: patch", octets, "Upload-Offset: 2").with("2"),
				v1("nonsense", "POST", "/tus/{a}", "X-HTTP-Method-Override: NONSENSE"),
				v1("of a PATCH", "PATCH", "/tus/{a}", "X-HTTP-Method-Override: DELETE", octets, "Upload-Offset: 2").with("2"),
				v1("of a HEAD", "HEAD", "/tus/{a}", "X-HTTP-Method-Override: DELETE"),
				v1("nothing", "POST", "/tus/{a}"),
				v1("look", "HEAD", "/tus/{a}"),
				plain("DELETE without a version", "POST", "/tus/{a}", "X-HTTP-Method-Override: DELETE"),
				v1("DELETE", "POST", "/tus/{a}", "X-HTTP-Method-Override: DELETE"),
				v1("then look", "HEAD", "/tus/{a}"),
			},
		),
		"discovery": slices.Concat(
			begun("a", length(5)),
			[]step{
				plain("of all", "OPTIONS", "/tus/"),
				v1("of all, with a version", "OPTIONS", "/tus/"),
				plain("of all, in another version", "OPTIONS", "/tus/", "Tus-Resumable: 9"),
				plain("of all, without the slash", "OPTIONS", "/tus"),
				plain("of one", "OPTIONS", "/tus/{a}"),
				plain("of an unknown one", "OPTIONS", "/tus/unknown"),
				draft("6", "of a draft", "OPTIONS", "/tus/"),
				draft("6", "of a draft, one", "OPTIONS", "/tus/{a}"),
				draft("9", "of an unknown draft", "OPTIONS", "/tus/"),
			},
		),
		"methods and paths": slices.Concat(
			begun("a", length(1)),
			added("all", "a", 0, "x"),
			begun("b", length(1)),
			[]step{
				v1("POST without the slash", "POST", "/tus", length(1)),
				v1("GET all", "GET", "/tus/"),
				v1("GET one", "GET", "/tus/{a}"),
				v1("GET an unfinished one", "GET", "/tus/{b}"),
				v1("GET an unknown one", "GET", "/tus/unknown"),
				v1("PUT one", "PUT", "/tus/{a}").with("x"),
				v1("PUT all", "PUT", "/tus/").with("x"),
				v1("PATCH all", "PATCH", "/tus/", octets, "Upload-Offset: 0").with("x"),
				v1("nonsense", "NONSENSE", "/tus/{a}"),
				v1("below", "POST", "/tus/{a}/b", length(1)),
				v1("two slashes", "HEAD", "/tus//{a}"),
				v1("escaped", "HEAD", "/tus/%7Bx"),
				v1("up", "HEAD", "/tus/../tus/{a}"),
				v1("a query", "HEAD", "/tus/{a}?x=y"),
			},
		),
		"unknown drafts": {
			draft("7", "7", "POST", "/tus/", "Upload-Complete: ?1").with("x"),
			draft("2", "2", "POST", "/tus/", "Upload-Complete: ?1").with("x"),
			draft("", "empty", "POST", "/tus/", "Upload-Complete: ?1").with("x"),
			plain("7 with tus", "POST", "/tus/", tusVersion, "Upload-Draft-Interop-Version: 7", length(1)),
		},
	}
	for _, value := range []string{
		"0", "1", strconv.Itoa(sameMax), strconv.Itoa(sameMax + 1), "-1", "-0", "+1", "01", "1.0", "1e1", "0x1", "one", "", "9223372036854775807", "9223372036854775808", "1, 1",
	} {
		all["lengths"] = append(all["lengths"], v1("length "+value, "POST", "/tus/", "Upload-Length: "+value))
	}
	for _, value := range []string{"1", "0", "2", "true", "", "1 "} {
		all["lengths"] = append(all["lengths"], v1("defer "+value, "POST", "/tus/", "Upload-Defer-Length: "+value),
			v1("defer "+value+" and a length", "POST", "/tus/", "Upload-Defer-Length: "+value, length(1)))
	}
	for name, value := range map[string]string{
		"none": "", "one": "filename YS50eHQ=", "two": "filename YS50eHQ=,filetype dGV4dA==", "spaced": "filename YS50eHQ=, filetype dGV4dA==",
		"no value": "own", "a value and none": "own,filename YS50eHQ=", "an empty value": "own ", "only names": "a,b,c", "zero": "a AA==", "binary": "a /w==",
		"empty pairs": ",,a YQ==,", "a name like a value": "YQ==", "an equals sign": "a=b", "a tab": "a\tYQ==", "not ASCII": "\u00e4 YQ==", "long": strings.Repeat("a", 2000),
	} {
		steps := begun("m", length(1), "Upload-Metadata: "+value)
		all["metadata, "+name] = steps
	}
	for name, value := range map[string]string{
		"not Base64": "filename !", "no padding": "filename YS50eHQ", "loose bits": "a YR==", "twice": "filename YQ==,filename Yg==", "three words": "a YQ== x", "two spaces": "a  YQ==",
	} {
		all["wrong metadata"] = append(all["wrong metadata"], v1(name, "POST", "/tus/", length(1), "Upload-Metadata: "+value))
	}
	all["metadata, in two headers"] = begun("m", length(1), "Upload-Metadata: a YQ==", "Upload-Metadata: b Yg==")
	for _, version := range []string{"3", "4", "5", "6"} {
		all["draft "+version] = draftSteps(version)
	}
	return all
}

func (s step) named(name string) step { s.name = name; return s }

// draftSteps are what is asked by the interop versions of the drafts.
func draftSteps(version string) []step {
	complete, incomplete := "Upload-Complete: ?1", "Upload-Complete: ?0"
	if version == "3" {
		complete, incomplete = "Upload-Incomplete: ?0", "Upload-Incomplete: ?1"
	}
	of := func(name, method, path string, headers ...string) step {
		return draft(version, name, method, path, headers...)
	}
	look := func(upload string) step { return of("look at "+upload, "HEAD", "/tus/{"+upload+"}") }
	add := func(name, upload string, offset int, headers ...string) step {
		return of(name, "PATCH", "/tus/{"+upload+"}", append([]string{partial, "Upload-Offset: " + strconv.Itoa(offset)}, headers...)...)
	}
	return []step{
		of("whole", "POST", "/tus/", complete).with("hello").as("whole"), look("whole"),
		of("whole, in chunks", "POST", "/tus/", complete).with("hello").sent(inChunks).as("chunks"), look("chunks"),
		of("nothing", "POST", "/tus/", complete).as("nothing"), look("nothing"),
		of("told nothing", "POST", "/tus/").with("hello").as("silent"), look("silent"),
		of("first bytes", "POST", "/tus/", incomplete).with("hel").as("begun"), look("begun"),
		add("next", "begun", 3, incomplete).with("lo"), look("begun").named("after next"),
		add("behind", "begun", 7, incomplete).with("x"),
		add("before", "begun", 0, incomplete).with("x"),
		of("no offset", "PATCH", "/tus/{begun}", partial).with("x"),
		of("other type", "PATCH", "/tus/{begun}", "Content-Type: text/plain", "Upload-Offset: 5").with("!"), look("begun").named("after the other type"),
		of("type of tus", "PATCH", "/tus/{begun}", octets, "Upload-Offset: 5").with(""),
		add("a length", "begun", 5, incomplete, "Upload-Length: 9"), look("begun").named("after a length"),
		of("unknown", "PATCH", "/tus/unknown", partial, "Upload-Offset: 0").with("x"),
		of("no bytes yet", "POST", "/tus/", incomplete, length(6)).as("known"), look("known"),
		add("too much", "known", 0, complete).with("1234567"), look("known").named("after too much"),
		add("too little", "known", 0, complete).with("123"), look("known").named("after too little"),
		add("the rest", "known", 3, complete).with("456"), look("known").named("after the rest"),
		add("after the end", "known", 6, complete), add("more after the end", "known", 6, complete).with("x"),
		of("to be ended", "POST", "/tus/", incomplete).with("abc").as("open"),
		add("the last", "open", 3, complete).with("def"), look("open"),
		of("ended by nothing", "POST", "/tus/", incomplete).with("abc").as("ended"),
		add("the end", "ended", 3, complete), look("ended"),
		of("lengths agree", "POST", "/tus/", complete, length(5)).with("hello"),
		of("lengths differ", "POST", "/tus/", complete, length(6)).with("hello"),
		of("no length", "POST", "/tus/", complete, "Upload-Length: x").with("hello"),
		of("negative length", "POST", "/tus/", incomplete, "Upload-Length: -5"),
		of("length -1", "POST", "/tus/", incomplete, "Upload-Length: -1"),
		of("too large", "POST", "/tus/", complete).with(strings.Repeat("x", sameMax+1)),
		of("too large, told", "POST", "/tus/", incomplete, length(sameMax+1)),
		of("too large, in chunks", "POST", "/tus/", complete).with(strings.Repeat("x", sameMax+1)).sent(inChunks),
		of("large", "POST", "/tus/", incomplete).with(strings.Repeat("x", sameMax)).as("large"),
		add("one more", "large", sameMax, complete).with("x"), look("large"),
		of("named", "POST", "/tus/", complete, "Content-Type: text/plain; charset=utf-8", `Content-Disposition: attachment; filename="a.txt"`).with("hello").as("named"), look("named"),
		v1("named, by tus", "HEAD", "/tus/{named}"),
		of("wrong type", "POST", "/tus/", complete, "Content-Type: ;").with("hello"),
		of("wrong disposition", "POST", "/tus/", complete, "Content-Disposition: ;;").with("hello"),
		of("broken off", "POST", "/tus/", complete).with("hello").sent(broken),
		of("to be broken", "POST", "/tus/", incomplete).as("breaks"),
		add("breaks", "breaks", 0, complete).with("abc").sent(broken), look("breaks"),
		of("delete", "DELETE", "/tus/{breaks}"), look("breaks").named("after it was deleted"),
		of("look at all", "HEAD", "/tus/"),
		of("discover", "OPTIONS", "/tus/"),
	}
}

// watched are the headers that are compared, of final answers and of interim ones.
var watched = []string{
	"Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm",
	"Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat", "Upload-Expires",
	"Upload-Complete", "Upload-Incomplete", "Upload-Limit", "Upload-Draft-Interop-Version",
	"Location", "Cache-Control", "Allow", "X-Content-Type-Options",
}

// seen is what is compared of an answer: by "status", and by the names of headers.
type seen map[string]string

// side is one of the servers.
type side struct {
	*fixture
	host string
	ids  map[string]string // of uploads, by their names
}

// tusdURL serves tusd as it comes, under the same path.
func tusdURL(t *testing.T) string {
	t.Helper()
	composer := tusd.NewStoreComposer()
	filestore.New(t.TempDir()).UseIn(composer)
	memorylocker.New().UseIn(composer)
	handler, err := tusd.NewHandler(tusd.Config{
		StoreComposer: composer, BasePath: "/tus/", MaxSize: sameMax, EnableExperimentalProtocol: true,
		GracefulRequestCompletionTimeout: time.Millisecond, // a goroutine stays for so long
		Logger:                           slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/tus/", http.StripPrefix("/tus/", handler))
	mux.Handle("/tus", http.StripPrefix("/tus", handler))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func newSide(t *testing.T, address string) *side {
	t.Helper()
	return &side{&fixture{T: t, url: address}, strings.TrimPrefix(address, "http://"), map[string]string{}}
}

// ask sends a request on a connection of its own, byte by byte as the step has it, and returns what is
// compared of the answer.
func (s *side) ask(st *step) seen {
	s.Helper()
	names := []string{"{host}", s.host}
	for name, id := range s.ids {
		names = append(names, "{"+name+"}", id)
	}
	conn := s.dial()
	_, err := conn.Write(raw(st, strings.NewReplacer(names...)))
	s.ok(err)
	if st.form == broken {
		s.ok(conn.(interface{ CloseWrite() error }).CloseWrite()) //nolint:errcheck,forcetypeassert // TCP has it
	}
	got := seen{}
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: st.method})
		s.ok(err)
		interim := ""
		if res.StatusCode < http.StatusOK {
			interim = strconv.Itoa(res.StatusCode) + " "
		}
		if st.upload != "" && res.StatusCode == http.StatusCreated {
			at, err := url.Parse(res.Header.Get("Location"))
			s.ok(err)
			s.ids[st.upload] = strings.TrimPrefix(at.Path, "/tus/")
		}
		for _, name := range watched {
			if values := res.Header.Values(name); len(values) > 0 {
				got[interim+name] = s.shape(name, strings.Join(values, ", "))
			}
		}
		if interim != "" {
			continue
		}
		got["status"] = strconv.Itoa(res.StatusCode)
		if length := res.Header.Get("Content-Length"); st.method == http.MethodHead && length != "" && res.StatusCode < http.StatusBadRequest {
			got["Content-Length"] = length
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			got["body"] = err.Error()
		}
		s.ok(res.Body.Close())
		s.ok(conn.Close())
		return got
	}
}

// raw is the request as it goes over the wire.
func raw(st *step, names *strings.Replacer) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", st.method, names.Replace(st.path), names.Replace("{host}"))
	for _, h := range st.headers {
		b.WriteString(names.Replace(h) + "\r\n")
	}
	switch {
	case st.form == inChunks:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(st.body), st.body)
	case st.form == broken:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(st.body)+10, st.body)
	case st.body != "" || st.method != http.MethodHead && st.method != http.MethodGet && st.method != http.MethodOptions:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(st.body), st.body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// shape is a header without what differs from one upload to the next.
func (s *side) shape(header, value string) string {
	switch header {
	case "Location":
		return strings.TrimRight(strings.ReplaceAll(value, s.host, "{host}"), "0123456789abcdef-") + "{id}"
	case "Upload-Expires":
		if _, err := http.ParseTime(value); err == nil {
			return "{time}"
		}
	case "Upload-Metadata": // tusd gives it in any order
		pairs := strings.Split(value, ",")
		for i := range pairs {
			pairs[i] = strings.TrimSpace(pairs[i])
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ",")
	case "Upload-Concat":
		names := []string{s.host, "{host}"}
		for name, id := range s.ids {
			names = append(names, id, "{"+name+"}")
		}
		return strings.NewReplacer(names...).Replace(value)
	}
	return value
}

// difference is one that is known: in what, wherever theirs and ours are so, or in all the steps that
// match and in no others.
type difference struct {
	what         string // "status", or a header; of interim answers with their status before it
	theirs, ours string // "" for none, "*" for any
	why          string
	steps        []string // as "sequence: step", for path.Match
}

// differences are all that there are. Where the statuses differ, nothing else is compared.
var differences = []difference{
	{what: "Cache-Control", ours: "no-store", why: "No answer holds for anybody else, or for long."},
	{what: "104 Cache-Control", ours: "no-store", why: "As above."},
	{
		what: "Location", theirs: "http://{host}/tus/{id}", ours: "/tus/{id}",
		why: "It holds wherever the client has found the server; tusd must be told of each proxy that changes scheme or host.",
	},
	{what: "104 Location", theirs: "http://{host}/tus/{id}", ours: "/tus/{id}", why: "As above."},
	{what: "Upload-Expires", ours: "{time}", why: "The extension expiration: tusd leaves what nobody finishes to a job of its operator's."},
	{what: "Content-Length", theirs: "*", why: "It would be that of an answer to GET, which is not served here."},
	{what: "body", theirs: "unexpected EOF", why: "tusd promises the bytes of the upload to a POST, and does not send them.", steps: []string{"method override: HEAD"}},

	{
		what: "Tus-Extension", theirs: "creation,creation-with-upload,termination,concatenation,creation-defer-length",
		ours: "creation,creation-with-upload,termination,concatenation,creation-defer-length,checksum,checksum-trailer,expiration",
		why:  "More extensions.",
	},
	{what: "Tus-Checksum-Algorithm", ours: "md5,sha1,sha256,sha512", why: "The extension checksum."},
	{what: "Allow", ours: "*", why: "OPTIONS tells the methods, as RFC 9110 has it.", steps: []string{"discovery: of *", "draft ?: discover"}},
	{what: "Allow", theirs: "POST", ours: "POST, OPTIONS", why: "OPTIONS is served as well."},
	{
		what: "Allow", theirs: "GET, HEAD, PATCH, DELETE", ours: "DELETE, HEAD, PATCH, POST, OPTIONS",
		why: "What is served: tusd leaves out POST, with which methods are overridden, and OPTIONS.",
	},
	{
		what: "Tus-Resumable", theirs: "1.0.0", why: "Methods that no path of uploads takes, and paths below, are refused before the protocol is asked.",
		steps: []string{"head: of all", "delete: all", "delete: below", "methods and paths: * all", "methods and paths: PUT one", "methods and paths: nonsense"},
	},
	{what: "X-Content-Type-Options", ours: "nosniff", why: "Redirects have it too.", steps: []string{"methods and paths: two slashes", "methods and paths: up"}},
	{what: "status", theirs: "200", ours: "404", why: "No Location ends in a slash.", steps: []string{"head: the slash behind"}},
	{what: "status", theirs: "204", ours: "404", why: "As above.", steps: []string{"patch: the slash behind"}},
	{what: "status", theirs: "500", ours: "404", why: "A path of which there is nothing is no error of the server's.", steps: []string{"head: below"}},
	{what: "status", theirs: "405", ours: "404", why: "No method would do there.", steps: []string{"methods and paths: below"}},
	{
		what: "status", theirs: "200", ours: "405", why: "GET /v1/files/{id}/content gives out what was accepted; what was not is given to nobody.",
		steps: []string{"methods and paths: GET one", "methods and paths: GET an unfinished one", "method override: GET"},
	},
	{what: "status", theirs: "404", ours: "405", why: "As above.", steps: []string{"methods and paths: GET an unknown one"}},

	{what: "status", theirs: "201", ours: "400", why: "A name that was meant would be missing from the file, or a choice from the job.", steps: []string{"wrong metadata: *"}},
	{what: "Upload-Metadata", theirs: "a YQ==", ours: ",,,a YQ==", why: "It comes back as it was sent.", steps: []string{"metadata, empty pairs: look at m"}},
	{what: "Upload-Metadata", theirs: "a 77+9", ours: "a /w==", why: "tusd keeps it as JSON, which has no such bytes.", steps: []string{"metadata, binary: look at m"}},
	{
		what: "Upload-Metadata", theirs: "a YQ==", ours: "a YQ==,b Yg==", why: "Two headers of a list are one, as RFC 9110 has it; tusd ignores the second.",
		steps: []string{"metadata, in two headers: look at m"},
	},

	{
		what: "status", theirs: "201", ours: "413", why: "A file larger than the largest: tusd trusts a Content-Length, and the lengths of the drafts.",
		steps: []string{"creation with upload: deferred, too large", "draft ?: too large", "draft ?: too large, told"},
	},
	{what: "status", theirs: "204", ours: "413", why: "As above.", steps: []string{"deferred length: too much at once", "deferred length: one more", "draft ?: one more"}},
	{what: "Upload-Offset", theirs: "101", ours: "0", why: "As above.", steps: []string{"deferred length: too much at once, then look"}},
	{what: "Upload-Offset", theirs: "101", ours: "100", why: "As above.", steps: []string{"deferred length: one more, then look", "draft ?: look at large"}},
	{what: "Upload-Length", theirs: "101", why: "As above.", steps: []string{"draft ?: look at large"}},
	{what: "Upload-Complete", theirs: "?1", ours: "?0", why: "As above.", steps: []string{"draft [456]: look at large"}},
	{what: "Upload-Incomplete", theirs: "?0", ours: "?1", why: "As above.", steps: []string{"draft 3: look at large"}},
	{what: "Upload-Offset", theirs: "30", ours: "12", why: "Nothing is kept of a piece that is refused; tusd ends the upload with what fits of it.", steps: []string{"patch: look after it"}},
	{what: "Upload-Offset", theirs: "100", ours: "0", why: "As above.", steps: []string{"deferred length: then look"}},

	{
		what: "status", theirs: "400", ours: "503", why: "What came is kept, and the client is to go on: many do not after a 400.",
		steps: []string{"creation with upload: broken off", "patch: broken off", "draft ?: broken off", "draft ?: breaks"},
	},
	{what: "status", theirs: "204", ours: "409", why: "It is a file with a job by now, which DELETE /v1/files/{id} deletes.", steps: []string{"delete: a finished one", "concatenation: delete ab"}},
	{what: "status", theirs: "201", ours: "400", why: "The protocol joins partial uploads; this one is a file.", steps: []string{"concatenation: a finished file"}},

	{what: "status", theirs: "413", ours: "400", why: "The length is wrong, not the body too long. tusd begins the upload all the same.", steps: []string{"draft ?: negative length", "draft ?: length -1"}},
	{what: "status", theirs: "500", ours: "400", why: "The request is wrong, not the server.", steps: []string{"draft ?: wrong type", "draft ?: wrong disposition"}},
	{what: "Location", theirs: "http://{host}/tus/{id}", why: "The upload that was begun can come to nothing.", steps: []string{"draft ?: too large, in chunks"}},
}

func (d *difference) fits(at, what string, want, got seen) bool {
	return d.what == what && d.in(at) && (d.theirs == "*" || d.theirs == want[what]) && (d.ours == "*" || d.ours == got[what])
}

// in reports whether the difference is one of a step.
func (d *difference) in(at string) bool {
	return d.steps == nil || slices.ContainsFunc(d.steps, func(pattern string) bool {
		ok, err := path.Match(pattern, at)
		return ok && err == nil
	})
}

// ledger notes which differences were met, and where.
type ledger struct {
	mu  sync.Mutex
	met map[int]map[string]bool
}

func (l *ledger) note(line int, at string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.met[line] == nil {
		l.met[line] = map[string]bool{}
	}
	l.met[line][at] = true
}

// check compares the answers to a step.
func (l *ledger) check(t *testing.T, at string, want, got seen) {
	t.Helper()
	fields := []string{"status"}
	if want["status"] == got["status"] {
		both := maps.Clone(want)
		maps.Copy(both, got)
		fields = slices.Sorted(maps.Keys(both))
	}
	for _, what := range fields {
		if want[what] == got[what] {
			continue
		}
		line := slices.IndexFunc(differences, func(d difference) bool { return d.fits(at, what, want, got) })
		if line < 0 {
			t.Errorf("%s: %s is %q, tusd's %q", at, what, got[what], want[what])
			continue
		}
		l.note(line, at)
	}
}

// TestLikeTusd asks the same of ours and of tusd. What differs is known, and has its reason.
func TestLikeTusd(t *testing.T) {
	t.Parallel()
	book := ledger{met: map[int]map[string]bool{}}
	all := sequences()
	theirURL := tusdURL(t)
	ourURL := newFixture(t, openSQLite(t), limit(func(l *api.Limits) { l.File = sameMax }), func(o *api.Options) { o.HandOver = func([]store.Delivery) {} }).url
	t.Run("sequences", func(t *testing.T) {
		for name, steps := range all {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				theirs, ours := newSide(t, theirURL), newSide(t, ourURL)
				for _, st := range steps {
					book.check(t, name+": "+st.name, theirs.ask(&st), ours.ask(&st))
				}
			})
		}
	})
	for line, d := range differences {
		if len(book.met[line]) == 0 {
			t.Errorf("nowhere is %s %q, and tusd's %q", d.what, d.ours, d.theirs)
		}
		for name, steps := range all {
			for _, st := range steps {
				if at := name + ": " + st.name; d.steps != nil && d.in(at) && !book.met[line][at] {
					t.Errorf("%s: %s is not %q and tusd's %q", at, d.what, d.ours, d.theirs)
				}
			}
		}
	}
}
