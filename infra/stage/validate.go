package stage

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
)

// maxPrefix leaves room for "-out-", the account and the longest region in a
// bucket's 63 characters.
const maxPrefix = 30

var (
	namePattern     = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	bucketPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keyPattern      = regexp.MustCompile(`^arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	boundaryPattern = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::([0-9]{12}|aws):policy/.+$`)
	accountPattern  = regexp.MustCompile(`^[0-9]{12}$`)
	subnetPattern   = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupPattern    = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	tagPattern      = regexp.MustCompile(`^[\pL\pZ\pN_.:/=+@-]*$`)
)

// logDays are the retentions that CloudWatch Logs accepts.
var logDays = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// jobTagPattern is what Bedrock takes as a tag of a job, less than other
// services take.
var jobTagPattern = regexp.MustCompile(`^[a-zA-Z0-9\s._:/=+@-]*$`)

// JobTags are those of the stage's tags that jobs can have too.
func (s Settings) JobTags() map[string]string {
	var tags map[string]string
	for k, v := range s.Tags {
		if jobTagPattern.MatchString(k) && jobTagPattern.MatchString(v) {
			if tags == nil {
				tags = map[string]string{}
			}
			tags[k] = v
		}
	}
	return tags
}

// Validate reports everything that is wrong at once.
func (s Settings) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(namePattern.MatchString(s.Name), "name is %q: it must begin with a letter and hold lower case letters, digits and single hyphens", s.Name)
	check(namePattern.MatchString(s.Stage), "stage is %q: the file's name must begin with a letter and hold lower case letters, digits and single hyphens", s.Stage)
	check(len(s.Prefix()) <= maxPrefix, "name and stage together are %q, %d characters: at most %d, for the buckets' names hold account and region too", s.Prefix(), len(s.Prefix()), maxPrefix)

	check(len(s.Models) > 0, "models is empty: list at least one model, for the roles allow exactly what is listed")
	for i, m := range s.Models {
		_, err := resources(m)
		check(err == nil, "models[%d]: %v", i, err)
		check(!slices.Contains(s.Models[:i], m), "models[%d] is %q, which is listed before", i, m)
	}
	for _, addresses := range []struct {
		name string
		list []string
	}{{"emails", s.Emails}, {"operations_emails", s.OperationsEmails}} {
		for i, e := range addresses.list {
			a, err := mail.ParseAddress(e)
			check(err == nil && a.Address == e, "%s[%d] is %q: not an e-mail address", addresses.name, i, e)
			check(!slices.Contains(addresses.list[:i], e), "%s[%d] is %q, which is listed before", addresses.name, i, e)
		}
	}

	check(s.Architecture == "arm64" || s.Architecture == "x86_64", "architecture is %q: must be arm64 or x86_64", s.Architecture)
	for _, f := range []struct {
		name string
		Function
	}{{"submit", s.Submit}, {"collect", s.Collect}} {
		check(f.MemoryMB >= 128 && f.MemoryMB <= 10240, "%s.memory_mb is %d: must be 128 to 10240", f.name, f.MemoryMB)
		check(f.TimeoutSeconds >= 60 && f.TimeoutSeconds <= 900, "%s.timeout_seconds is %d: must be 60 to 900", f.name, f.TimeoutSeconds)
		check(f.StorageMB >= 512 && f.StorageMB <= 10240, "%s.storage_mb is %d: must be 512 to 10240", f.name, f.StorageMB)
		check(f.Concurrency >= 2 && f.Concurrency <= 1000, "%s.concurrency is %d: must be 2 to 1000", f.name, f.Concurrency)
	}
	check(s.Alarms.WaitingHours >= 1 && s.Alarms.WaitingHours <= 720, "alarms.waiting_hours is %d: must be 1 to 720", s.Alarms.WaitingHours)
	check(s.Alarms.OpenHours >= 1 && s.Alarms.OpenHours <= 720, "alarms.open_hours is %d: must be 1 to 720", s.Alarms.OpenHours)
	check(s.Alarms.SpendUSDPerDay >= 0 && s.Alarms.SpendUSDPerDay <= 1e9, "alarms.spend_usd_per_day is %v: must be 0, which is no alarm, or more", s.Alarms.SpendUSDPerDay)
	check(s.TickMinutes >= 1 && s.TickMinutes <= 60, "tick_minutes is %d: must be 1 to 60", s.TickMinutes)
	check(slices.Contains([]string{"debug", "info", "warn", "error"}, s.LogLevel), "log_level is %q: must be debug, info, warn or error", s.LogLevel)
	check(slices.Contains(logDays, s.LogDays), "log_days is %d: CloudWatch Logs knows %v", s.LogDays, logDays)

	// A job lives up to seven days and may wait as long for its slot.
	check(s.StagedDays >= 30, "staged_days is %d: must be at least 30, for jobs and their retries read what is staged", s.StagedDays)
	check(s.KnownDays >= 1 && s.KnownDays <= 3650, "known_days is %d: must be 1 to 3650", s.KnownDays)
	check(s.NoncurrentDays >= 15, "noncurrent_days is %d: must be at least 15, for results are joined with the upload's own version", s.NoncurrentDays)
	check(s.Warehouse.ScanLimitMB >= 10 && s.Warehouse.ScanLimitMB <= 7_000_000, "warehouse.scan_limit_mb is %d: must be 10 to 7000000", s.Warehouse.ScanLimitMB)
	check(s.Warehouse.Days >= 1 && s.Warehouse.Days <= 36_500, "warehouse.days is %d: must be 1 to 36500", s.Warehouse.Days)
	check(s.Warehouse.QueryDays >= 1 && s.Warehouse.QueryDays <= 36_500, "warehouse.query_days is %d: must be 1 to 36500", s.Warehouse.QueryDays)
	check(!s.Warehouse.Enabled || s.Output.Bucket == "", "warehouse.enabled with output.bucket: queries of this account would need the rights of the other; lay the table there")
	check(s.Removal == "retain" || s.Removal == "destroy", "removal is %q: must be retain or destroy", s.Removal)

	check(s.Encryption == "" || s.Encryption == "managed" || keyPattern.MatchString(s.Encryption), "encryption is %q: must be managed, or the ARN of a KMS key (not of an alias)", s.Encryption)
	check(s.AccessLogs == "" || bucketPattern.MatchString(s.AccessLogs), "access_logs is %q: not a bucket's name", s.AccessLogs)
	check(s.PermissionsBoundary == "" || boundaryPattern.MatchString(s.PermissionsBoundary), "permissions_boundary is %q: not the ARN of a managed policy", s.PermissionsBoundary)
	check((len(s.VPC.Subnets) > 0) == (len(s.VPC.SecurityGroups) > 0), "vpc has %d subnets and %d security_groups: give both or neither", len(s.VPC.Subnets), len(s.VPC.SecurityGroups))
	for i, id := range s.VPC.Subnets {
		check(subnetPattern.MatchString(id), "vpc.subnets[%d] is %q: not a subnet's id", i, id)
	}
	check(len(s.VPC.SecurityGroups) <= 5, "vpc.security_groups has %d entries: a function takes at most 5", len(s.VPC.SecurityGroups))
	for i, id := range s.VPC.SecurityGroups {
		check(groupPattern.MatchString(id), "vpc.security_groups[%d] is %q: not a security group's id", i, id)
	}
	check(!s.VPC.Jobs || len(s.VPC.Subnets) > 0, "vpc.jobs needs vpc.subnets and vpc.security_groups")
	check(!s.VPC.Jobs || len(s.VPC.Subnets) <= 16, "vpc.subnets has %d entries: a job takes at most 16", len(s.VPC.Subnets))
	check((s.Output.Bucket == "") == (s.Output.Account == ""), "output has bucket %q and account %q: give both or neither", s.Output.Bucket, s.Output.Account)
	check(s.Output.Bucket == "" || bucketPattern.MatchString(s.Output.Bucket), "output.bucket is %q: not a bucket's name", s.Output.Bucket)
	check(s.Output.Account == "" || accountPattern.MatchString(s.Output.Account), "output.account is %q: not the 12 digits of an account", s.Output.Account)
	check(s.Output.Bucket == "" || s.Encryption == "", "encryption is %q: with output.bucket the bucket's owner chooses its key", s.Encryption)
	for k, v := range s.Tags {
		check(k != "" && len(k) <= 128 && tagPattern.MatchString(k) && !strings.HasPrefix(strings.ToLower(k), "aws:"), "tags: %q is not a tag's key", k)
		check(len(v) <= 256 && tagPattern.MatchString(v), "tags.%s is %q: not a tag's value", k, v)
	}
	check(s.Pipeline.SpillBytes <= int64(s.Collect.StorageMB-256)<<20, "collect.storage_mb is %d: too little for pipeline.spill_bytes (%d) and 256 MB beside it", s.Collect.StorageMB, s.Pipeline.SpillBytes)
	check(s.Pipeline.MemoryBytes <= int64(s.Collect.MemoryMB-64)<<20, "collect.memory_mb is %d: too little for pipeline.memory_bytes (%d) and 64 MB beside it", s.Collect.MemoryMB, s.Pipeline.MemoryBytes)
	if _, err := s.Pipeline.Encode(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
