# make test runs all that a change must pass, and nothing needs to be installed
# for it but Go, bash, npm and what stand-ins installs. The other targets take
# longer.

GO ?= go
FUZZTIME ?= 60s
FUZZ = $(GO) test -run XXX -fuzzminimizetime 100x -fuzztime $(FUZZTIME)

.PHONY: test format vet staticcheck stand-ins tests race bench bench-quick load robust fuzz vulncheck lambda coldstart terraform

test: format vet staticcheck tests race

format:
	@unformatted=$$(find . -name '*.go' -not -path './.*' | xargs gofmt -l); test -z "$$unformatted" || { echo "gofmt -w these: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	$(GO) -C deploy/cdk vet ./...
	$(GO) -C deploy/compare vet ./...

staticcheck:
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) -C deploy/cdk tool -modfile=../../tools/go.mod staticcheck ./...
	$(GO) -C deploy/compare tool -modfile=../../tools/go.mod staticcheck ./...

# What tests run in place of AWS, the database servers that they start, and what
# checks a deployment: all that Go modules don't bring along. See awstest, sqltest
# and deploy/cdk.
stand-ins:
	tools/dynoxide.sh
	tools/servers.sh
	tools/kinesis.sh
	tools/chromium.sh
	tools/python.sh
	tools/guard.sh
	tools/cdk.sh

# Unit tests, contract, hostile input, kill -9, arrows, fuzz seeds, examples, and
# the commands of README and docs. What go test itself would vet, vet has.
tests: stand-ins
	$(GO) test -vet=off -timeout 10m ./...
	$(GO) -C deploy/cdk test -vet=off -timeout 10m ./...
	$(GO) -C deploy/compare test -vet=off -timeout 10m ./...

# What tests runs, and race need not run again: commands of the docs, other
# processes, the browser, measurements, crashes step by step, damage byte by byte,
# large batches, one client against a model, and contracts that the same code passes
# on a smaller stand-in.
NOT_RACED = TestDocs|TestArrows|TestKilled|TestRoot|TestPackage|TestSimulation|TestRebuildEquals|TestCrash|TestBatch|TestManyDiff|TestVeryMany|$\
	TestFork(OfAPart|Counts|Equals)|TestNoEffect.*DynamoDB|TestRandom(Sets|Changes)|TestSeeds|TestMemory|TestStreamsAgainstAModel|TestServersEnd|TestFailedWrites|$\
	TestBill|TestVerifyCompares|TestEveryFlippedBit|TestMissingAndTruncated|TestDamagedIndex|TestDiskFull|TestManyWritersLoseNothing|TestBrowser|TestManySlow|TestBoardIsBounded|$\
	TestDurability|TestUpgrade|TestHashOfTheLast|TestMetamorphic|TestLinearizable|TestLoad$$|TestEachFlippedBit|TestVerify(NamesChangedFiles|OfAWholeLog)|TestPlantedSecrets|TestPlantedBugsAreFound|TestPlantedFaultsAreFound|TestPlantedPanicIsFound|TestEndAtEveryStep|$\
	TestStoreContract(AcrossSealedRuns|UnderFaults)$$|TestContract(OnAProgramsOwnDatabase|AgainstAServerOverDynamoDB)

race: stand-ins
	$(GO) test -race -vet=off -timeout 10m -skip '$(NOT_RACED)' $$($(GO) list ./... | grep -v -e /bench$$ -e /pack$$ -e cmd/annals$$ -e cmd/bootstrap$$ -e robust/aws$$)
	$(GO) test -race -vet=off -timeout 10m -run 'TestDemo|TestServe|TestGateway|TestInterrupt' ./cmd/annals

# The figures of docs/benchmarks.md.
bench:
	$(GO) run ./cmd/annals bench --dir .

bench-quick:
	$(GO) run ./cmd/annals bench --quick --dir .

# The loads of docs/benchmarks.md: an hour and a half, on a machine that does nothing else.
load:
	$(GO) run ./cmd/annals bench --load rates,followers,overload,size,soak --dir .

# Known vulnerabilities of the code and of what it depends on. It needs the network.
vulncheck:
	tools/vulncheck.sh

# More crashes and kills than a change needs.
robust:
	$(GO) test -timeout 60m -v ./robust -run TestKilled -kills 500
	$(GO) test -timeout 60m -v ./robust -run 'TestMetamorphic$$' -runs 500
	$(GO) test -timeout 60m -v ./robust/linear -run TestPlantedBugsAreCaught -planted
	$(GO) test -timeout 60m -v ./robust/linear -run TestLinearizable -ops 1000000
	$(GO) test -timeout 60m -v ./robust/delivery -run TestSeeds -seeds 10000 -table-seeds 100
	$(GO) test -timeout 120m -v ./robust/fuzzapi -run TestAnswersAreAsDocumented -requests 20000 -statuses
	$(GO) test -timeout 60m -v ./embedded -run TestDurability -every
	$(GO) test -timeout 60m -v ./lambda -run TestSequenceOfDisorderedBatches -disorders 200
	$(GO) test -timeout 60m -v ./robust/aws -run TestKilledRoles -messages 10000 -count 10
	$(GO) test -timeout 60m -v ./embedded -run TestCrashes -crashes 500
	$(GO) test -timeout 60m -v ./dynamo -run 'TestSimulation$$' -schedules 40000
	$(GO) test -timeout 60m -v ./projection -run 'TestChaos$$' -chaos 500
	$(GO) test -timeout 60m -v ./reaction -run TestChaos -runs 400
	$(GO) test -timeout 60m -v ./cmd/annals -run TestKilled -kills 50

fuzz:
	$(FUZZ) -fuzz FuzzParse ./projection/fold
	$(FUZZ) -fuzz FuzzExpression ./projection/fold
	$(FUZZ) -fuzz FuzzDecode ./projection/fold
	$(FUZZ) -fuzz FuzzLine ./dynamo
	$(FUZZ) -fuzz FuzzParse ./proof
	$(FUZZ) -fuzz FuzzTies ./dynamo
	$(FUZZ) -fuzz FuzzPlaces ./dynamo
	$(FUZZ) -fuzz FuzzCheckJSON .
	$(FUZZ) -fuzz FuzzDecode ./ingest
	$(FUZZ) -fuzz FuzzIncoming ./tracking
	$(FUZZ) -fuzz FuzzParse ./tracking/gateway
	$(FUZZ) -fuzz FuzzRecord ./embedded
	$(FUZZ) -fuzz FuzzKey ./embedded

# The zips of the Lambda functions, dist/annals-lambda-arm64.zip and -x86_64.zip:
# the same bytes from the same sources and the same Go.
lambda:
	$(GO) run ./cmd/bootstrap/pack

# How long each role takes to start, and the memory that it has then.
coldstart: stand-ins
	$(GO) test -count=1 -timeout 5m -v -run TestColdStart ./cmd/bootstrap

# deploy/terraform by Terraform itself, as far as it is at hand: see the script.
terraform:
	tools/terraform.sh
