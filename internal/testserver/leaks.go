package testserver

import (
	"go.uber.org/goleak"
)

// VerifyTestMain is goleak's, for tests that use a [Link]: when a connection is cut while bytes are
// under way, toxiproxy leaves the goroutine behind that was about to hand them on.
func VerifyTestMain(m goleak.TestingM) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}
