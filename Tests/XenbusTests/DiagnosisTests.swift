import Testing
import XenInterface
import Xenbus

@Suite struct DiagnosisTests {
  let paths = XenbusDevicePaths(kind: "vbd", device: 51712, frontendDomain: DomainID(rawValue: 7))

  private func diagnose(
    _ frontend: [String: String]?, _ backend: [String: String]?, backendError: String? = nil
  ) -> XenbusDiagnosis {
    let directory = { (side: XenbusSide, values: [String: String]?) in
      values.map { XenbusDirectory(side: side, path: paths.directory(of: side), domain: paths.domain(of: side), values: $0) }
    }
    return XenbusDiagnosis(
      paths: paths, frontend: directory(.frontend, frontend), backend: directory(.backend, backend), backendError: backendError, now: 112)
  }

  @Test func aConnectedDeviceIsConnected() {
    let diagnosis = diagnose(["state": "4"], ["state": "4"])
    #expect(diagnosis.isConnected && diagnosis.side == nil)
    #expect(diagnosis.text == "vbd 51712 in domain 7: connected")
  }

  @Test func aMissingHotplugNamesTheKeyAndTheScript() {
    let diagnosis = diagnose(["state": "3", "state-since": "100"], ["state": "2", "state-since": "100", "script": "block"])
    #expect(diagnosis.side == .backend)
    #expect(
      diagnosis.text == "back-end of vbd 51712 in domain 7: state initWait (2) since 12 s; waiting for back-end key "
        + "'/local/domain/0/backend/vbd/7/51712/hotplug-status' = connected; look at the hotplug script named in "
        + "'/local/domain/0/backend/vbd/7/51712/script'")
  }

  @Test func aBackendThatWasNeverStartedIsNamed() {
    #expect(diagnose(["state": "1"], ["state": "1"]).text.contains("no back-end process has taken the device; start one (pvio backend block)"))
  }

  @Test func theErrorOfAnEndIsShownWithoutItsControlCharacters() {
    let text = diagnose(["state": "3"], ["state": "6"], backendError: "5 bad\u{1B}[31m ring").text
    #expect(text.hasSuffix("; back-end reports: 5 bad?[31m ring"))
  }

  @Test func everyPairOfStatesHasALineThatSaysWhoHasToMove() {
    for frontend in XenbusState.allCases {
      for backend in XenbusState.allCases {
        let diagnosis = diagnose(["state": "\(frontend.rawValue)"], ["state": "\(backend.rawValue)"])
        #expect(diagnosis.isConnected == (frontend == .connected && backend == .connected))
        let settled = diagnosis.isConnected || (frontend == .closed && backend == .closed)
        #expect((diagnosis.side == nil) == settled, "\(frontend) \(backend)")
        #expect(!diagnosis.text.contains("\n"))
      }
    }
    #expect(diagnose(nil, nil).text.contains("no such device"))
    #expect(diagnose(nil, ["state": "2"]).side == .frontend)
  }
}
