/// What the front-end (the VMM) asks for (`enum VhostUserRequest`; QEMU's docs/interop/vhost-user.rst, "Front-end message types").
public enum VhostUserRequest: UInt32, Sendable, CaseIterable {
  case getFeatures = 1
  case setFeatures = 2
  case setOwner = 3
  case resetOwner = 4
  case setMemoryTable = 5
  case setLogBase = 6
  case setLogDescriptor = 7
  case setVringNumber = 8
  case setVringAddress = 9
  case setVringBase = 10
  case getVringBase = 11
  case setVringKick = 12
  case setVringCall = 13
  case setVringError = 14
  case getProtocolFeatures = 15
  case setProtocolFeatures = 16
  case getQueueNumber = 17
  case setVringEnable = 18
  case sendRARP = 19
  case setMTU = 20
  case setBackendChannel = 21
  case getConfiguration = 24
  case setConfiguration = 25
  case getInflightDescriptor = 31
  case setInflightDescriptor = 32
  case resetDevice = 34
  case getMaximumMemorySlots = 36
  case addMemoryRegion = 37
  case removeMemoryRegion = 38
  case setStatus = 39
  case getStatus = 40
}

extension VhostUserRequest: CustomStringConvertible {
  /// Its name in the specification, without the prefix.
  public var description: String {
    switch self {
    case .getFeatures: "GET_FEATURES"
    case .setFeatures: "SET_FEATURES"
    case .setOwner: "SET_OWNER"
    case .resetOwner: "RESET_OWNER"
    case .setMemoryTable: "SET_MEM_TABLE"
    case .setLogBase: "SET_LOG_BASE"
    case .setLogDescriptor: "SET_LOG_FD"
    case .setVringNumber: "SET_VRING_NUM"
    case .setVringAddress: "SET_VRING_ADDR"
    case .setVringBase: "SET_VRING_BASE"
    case .getVringBase: "GET_VRING_BASE"
    case .setVringKick: "SET_VRING_KICK"
    case .setVringCall: "SET_VRING_CALL"
    case .setVringError: "SET_VRING_ERR"
    case .getProtocolFeatures: "GET_PROTOCOL_FEATURES"
    case .setProtocolFeatures: "SET_PROTOCOL_FEATURES"
    case .getQueueNumber: "GET_QUEUE_NUM"
    case .setVringEnable: "SET_VRING_ENABLE"
    case .sendRARP: "SEND_RARP"
    case .setMTU: "NET_SET_MTU"
    case .setBackendChannel: "SET_BACKEND_REQ_FD"
    case .getConfiguration: "GET_CONFIG"
    case .setConfiguration: "SET_CONFIG"
    case .getInflightDescriptor: "GET_INFLIGHT_FD"
    case .setInflightDescriptor: "SET_INFLIGHT_FD"
    case .resetDevice: "RESET_DEVICE"
    case .getMaximumMemorySlots: "GET_MAX_MEM_SLOTS"
    case .addMemoryRegion: "ADD_MEM_REG"
    case .removeMemoryRegion: "REM_MEM_REG"
    case .setStatus: "SET_STATUS"
    case .getStatus: "GET_STATUS"
    }
  }
}
