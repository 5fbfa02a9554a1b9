-- Which actions Argo CD offers for a FlagsmithDeployment.
local actions = {}
local suspended = obj.spec ~= nil and obj.spec.suspend == true
local migration = obj.status ~= nil and obj.status.migration or {}

actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }
actions["retry-migration"] = { ["disabled"] = migration.result ~= "Failed" }
return actions
