package sqlite_test
import ("testing";"fmt";"strings";"os")
func TestDump(t *testing.T){
 s := open(t); fill(t,s,2000); callEverything(t,s)
 f,_ := os.Create("/tmp/plans.txt")
 for _, x := range s.Statements(){ fmt.Fprintln(f, strings.Join(strings.Fields(x)," ")); for _,p := range plan(t,s,x){ fmt.Fprintln(f,"    ",p)} }
}
